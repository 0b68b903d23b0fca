// Two clients of one lock, and the cache of its user. Nothing is asked but this service; nothing is kept but in this page.
"use strict";

/** How many answers a pane shows. */
const SHOWN = 6;

const field = (id) => document.getElementById(id).value.trim();
const url = (rest) => `/api/v1/users/${encodeURIComponent(field("user"))}/${rest}`;

/** An element with a text. */
function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** Sends a request. */
async function ask(method, path, headers = {}, body = undefined) {
  const token = field("token");
  if (token) headers = { ...headers, Authorization: `Bearer ${token}` };
  const began = performance.now();
  const answer = await fetch(path, { method, headers, body, cache: "no-store" });
  const text = await answer.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* Nothing, or not JSON: shown as it is. */ }
  return { method, path, status: answer.status, headers: answer.headers, text, json, ms: performance.now() - began };
}

/** Something that lasts until a moment, and is shown with what is left of it. */
class Countdown {
  constructor(pane, shown) {
    this.bar = pane.querySelector("progress");
    this.shown = shown;
    this.stop();
    setInterval(() => this.draw(), 50);
  }
  start(seconds) {
    this.whole = seconds * 1000;
    this.end = performance.now() + this.whole;
    this.draw();
  }
  stop() {
    this.end = null;
    this.bar.value = 0;
  }
  draw() {
    if (this.end === null) return;
    const left = Math.max(0, this.end - performance.now());
    this.bar.value = this.whole > 0 ? left / this.whole : 0;
    this.shown(left / 1000);
  }
}

/** A part of the page that sends requests and shows their answers. */
class Pane {
  constructor(section) {
    this.section = section;
    this.state = section.querySelector(".state");
    this.answers = section.querySelector(".answers");
    this.countdown = new Countdown(section, (left) => this.tick(left));
    for (const button of section.querySelectorAll("button")) {
      button.addEventListener("click", () => this[button.dataset.do]().catch((error) => this.say(String(error))));
    }
  }
  say(text, className = "") {
    this.state.textContent = text;
    this.section.classList.remove("held", "waiting");
    if (className) this.section.classList.add(className);
  }
  async ask(...request) {
    const answer = await ask(...request);
    const detail = [answer.headers.get("cache-status"), answer.status >= 400 && answer.json?.detail, answer.status === 422 && answer.json?.title]
      .filter(Boolean)[0] ?? "";
    const line = `${answer.method} → ${answer.status}, ${answer.ms.toFixed(0)} ms ${detail}`;
    this.answers.prepend(element("li", line, answer.status >= 400 ? "bad" : ""));
    while (this.answers.children.length > SHOWN) this.answers.lastElementChild.remove();
    return answer;
  }
}

/** One who wants the lock, with a token of its own. */
class Client extends Pane {
  constructor(section) {
    section.append(document.getElementById("client").content.cloneNode(true));
    section.querySelector("h2").textContent = section.dataset.name;
    super(section);
    this.lose("without the lock");
  }
  can(...names) {
    for (const button of this.section.querySelectorAll("button")) button.disabled = !names.includes(button.dataset.do);
  }
  lose(why) {
    this.fencing = null;
    this.countdown.stop();
    this.say(why);
    this.can("take", "wait");
  }
  tick(left) {
    if (left <= 0) return this.lose("it has expired");
    this.say(`has it, number ${this.fencing}, for ${left.toFixed(1)} s`, "held");
  }
  hold(answer) {
    this.fencing = answer.json.fencing_token;
    this.can("renew", "release");
    this.countdown.start(answer.json.expires_in);
  }
  async acquire(timeout) {
    // A token for one hold: with it, asking again after a lost answer renews instead of waiting for oneself.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    this.lockToken = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const query = new URLSearchParams({ timeout, expire: field("expire") });
    this.can();
    this.say("asks for it", "waiting");
    const answer = await this.ask("POST", url(`lock?${query}`), { "Lock-Token": this.lockToken });
    if (answer.status === 201) return this.hold(answer);
    const after = answer.headers.get("retry-after");
    this.lose(after ? `could not have it; try again in ${after} s` : "could not have it");
  }
  take() { return this.acquire("0"); }
  wait() { return this.acquire(field("timeout")); }
  async renew() {
    const query = new URLSearchParams({ expire: field("expire") });
    const answer = await this.ask("PUT", url(`lock?${query}`), { "Lock-Token": this.lockToken });
    if (answer.status === 200) this.hold(answer);
    else this.lose("has lost it");
  }
  async release() {
    const answer = await this.ask("DELETE", url("lock"), { "Lock-Token": this.lockToken });
    this.lose(answer.status === 204 ? "has released it" : "has lost it");
  }
}

/** An entry of the user's cache. */
class Cache extends Pane {
  get path() { return url("cache/live"); }
  tick(left) {
    this.say(left > 0 ? `${this.age(left)}; lives for ${left.toFixed(1)} s` : "it has expired");
    if (left <= 0) this.countdown.stop();
  }
  age(left) { return `${this.found}, ${(this.lifetime - left).toFixed(1)} s old`; }
  async put() {
    const query = new URLSearchParams({ expire: field("expire") });
    const body = this.section.querySelector("textarea").value;
    const answer = await this.ask("PUT", `${this.path}?${query}`, { "Content-Type": "application/json" }, body);
    if (answer.status >= 400) return;
    this.tag = answer.headers.get("etag");
    this.lifetime = Number(field("expire"));
    this.found = "stored";
    this.countdown.start(this.lifetime);
  }
  async read() {
    const known = this.tag ? { "If-None-Match": this.tag } : {};
    const answer = await this.ask("GET", this.path, known);
    const left = /max-age=(\d+)/.exec(answer.headers.get("cache-control") ?? "");
    if (answer.status === 404 || !left) {
      this.tag = null;
      this.countdown.stop();
      return this.say("a miss: there is nothing");
    }
    this.tag = answer.headers.get("etag");
    this.found = answer.status === 304 ? "a hit, unchanged" : "a hit";
    this.lifetime = Math.max(this.lifetime ?? 0, Number(left[1]));
    // Whole seconds, rounded down: what is known more exactly stays.
    if (this.countdown.end === null) this.countdown.start(Number(left[1]));
  }
  async drop() {
    await this.ask("DELETE", this.path);
    this.tag = null;
    this.countdown.stop();
    this.say("deleted");
  }
}

/** What anybody may see of the lock. */
async function watch() {
  const shown = document.getElementById("lock");
  try {
    const { status, json } = await ask("GET", url("lock"));
    if (status !== 200) shown.textContent = json?.detail ?? `${status}`;
    else if (!json.held) shown.textContent = "The lock is free.";
    else shown.textContent = `The lock is held, number ${json.fencing_token ?? "unknown"}${json.expires_in === null ? "" : `, for ${json.expires_in.toFixed(1)} s`}.`;
  } catch {
    shown.textContent = "The service does not answer.";
  }
  setTimeout(watch, 500);
}

window.addEventListener("DOMContentLoaded", () => {
  document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
  for (const section of document.querySelectorAll(".client")) new Client(section);
  new Cache(document.getElementById("cache"));
  watch();
});
