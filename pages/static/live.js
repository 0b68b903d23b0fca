// Two clients of one lock, the cache of its user, and two who compute an entry. Requests go to this service only, and
// nothing is stored outside this page.
"use strict";

/** The number of answers that a pane shows. */
const SHOWN = 6;

const field = (id) => document.getElementById(id).value.trim();
const url = (rest) => `/api/v1/users/${encodeURIComponent(field("user"))}/${rest}`;

/** Makes an element with a text. */
function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** Sends a request and reads its whole answer. */
async function ask(method, path, headers = {}, body = undefined) {
  const token = field("token");
  if (token) headers = { ...headers, Authorization: `Bearer ${token}` };
  const began = performance.now();
  const answer = await fetch(path, { method, headers, body, cache: "no-store" });
  const text = await answer.text();
  let json = null;
  try { json = JSON.parse(text); } catch { /* Empty, or not JSON. */ }
  const ms = performance.now() - began;
  return { method, path, status: answer.status, headers: answer.headers, text, json, ms };
}

/** A bar that shows the time left until a deadline. */
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
      const act = () => this[button.dataset.do]().catch((error) => this.say(String(error)));
      button.addEventListener("click", act);
    }
  }
  say(text, className = "") {
    this.state.textContent = text;
    this.section.classList.remove("held", "waiting");
    if (className) this.section.classList.add(className);
  }
  async ask(...request) {
    const answer = await ask(...request);
    const failed = answer.status >= 400 && answer.json;
    const detail = answer.headers.get("cache-status") || (failed && failed.detail) || "";
    const line = `${answer.method} → ${answer.status}, ${answer.ms.toFixed(0)} ms ${detail}`;
    this.answers.prepend(element("li", line, answer.status >= 400 ? "bad" : ""));
    while (this.answers.children.length > SHOWN) this.answers.lastElementChild.remove();
    return answer;
  }
}

/** A client with a lock token of its own. */
class Client extends Pane {
  constructor(section) {
    section.append(document.getElementById("client").content.cloneNode(true));
    section.querySelector("h2").textContent = section.dataset.name;
    super(section);
    this.owner = `${section.dataset.name}, at /docs/live`;
    this.lose("no lock");
  }
  can(...names) {
    for (const button of this.section.querySelectorAll("button")) {
      button.disabled = !names.includes(button.dataset.do);
    }
  }
  lose(why) {
    this.fencing = null;
    this.countdown.stop();
    this.say(why);
    this.can("take", "wait");
  }
  tick(left) {
    if (left <= 0) return this.lose("the lock expired");
    this.say(`holds the lock, fencing token ${this.fencing}, ${left.toFixed(1)} s left`, "held");
  }
  hold(answer) {
    this.fencing = answer.json.fencing_token;
    this.can("renew", "release");
    this.countdown.start(answer.json.expires_in);
  }
  async acquire(timeout) {
    // A new token for each hold. With it, a retry after a lost answer renews the lock.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    this.lockToken = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const query = new URLSearchParams({ timeout, expire: field("expire") });
    this.can();
    this.say("waits for the lock", "waiting");
    const headers = { "Lock-Token": this.lockToken, "Lock-Owner": this.owner };
    const answer = await this.ask("POST", url(`lock?${query}`), headers);
    if (answer.status === 201) return this.hold(answer);
    const after = answer.headers.get("retry-after");
    this.lose(after ? `did not get the lock; retry in ${after} s` : "did not get the lock");
  }
  take() { return this.acquire("0"); }
  wait() { return this.acquire(field("timeout")); }
  async renew() {
    const query = new URLSearchParams({ expire: field("expire") });
    const answer = await this.ask("PUT", url(`lock?${query}`), { "Lock-Token": this.lockToken });
    if (answer.status === 200) this.hold(answer);
    else this.lose("lost the lock");
  }
  async release() {
    const answer = await this.ask("DELETE", url("lock"), { "Lock-Token": this.lockToken });
    this.lose(answer.status === 204 ? "released the lock" : "lost the lock");
  }
}

/** An entry of the user's cache. */
class Cache extends Pane {
  get path() { return url("cache/live"); }
  tick(left) {
    this.say(left > 0 ? `${this.age(left)}; ${left.toFixed(1)} s left` : "expired");
    if (left <= 0) this.countdown.stop();
  }
  age(left) { return `${this.found}, ${(this.lifetime - left).toFixed(1)} s old`; }
  async put() {
    const query = new URLSearchParams({ expire: field("expire") });
    const body = this.section.querySelector("textarea").value;
    const json = { "Content-Type": "application/json" };
    const answer = await this.ask("PUT", `${this.path}?${query}`, json, body);
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
      return this.say("miss: there is no entry");
    }
    this.tag = answer.headers.get("etag");
    this.found = answer.status === 304 ? "hit, unchanged" : "hit";
    this.lifetime = Math.max(this.lifetime ?? 0, Number(left[1]));
    // max-age is in whole seconds, rounded down: a running countdown knows better.
    if (this.countdown.end === null) this.countdown.start(Number(left[1]));
  }
  async drop() {
    await this.ask("DELETE", this.path);
    this.tag = null;
    this.countdown.stop();
    this.say("deleted");
  }
}

/** A client that reads an entry, or computes it if that is its task. */
class Computer extends Pane {
  constructor(section) {
    section.append(document.getElementById("computer").content.cloneNode(true));
    section.querySelector("h2").textContent = section.dataset.name;
    super(section);
  }
  get path() { return url("cache/report"); }
  can(...names) {
    for (const button of this.section.querySelectorAll("button")) {
      button.disabled = !names.includes(button.dataset.do);
    }
  }
  end(why) {
    this.countdown.stop();
    this.say(why);
    this.can("read", "drop");
  }
  tick(left) {
    if (left <= 0) return this.end("the time to compute is up");
    this.say(`computes the value; ${left.toFixed(1)} s left`, "held");
  }
  async read() {
    const query = new URLSearchParams({ compute: field("expire"), timeout: field("timeout") });
    this.can();
    this.say("waits for the value", "waiting");
    const answer = await this.ask("GET", `${this.path}?${query}`);
    if (answer.status === 200) return this.end(`found ${answer.text}`);
    this.token = answer.headers.get("compute-token");
    if (!this.token) return this.end("got neither the value nor the task");
    this.can("store", "giveUp");
    this.countdown.start(Number(field("expire")));
  }
  async store() {
    const query = new URLSearchParams({ expire: 60 });
    const headers = { "Content-Type": "application/json", "Compute-Token": this.token };
    const report = JSON.stringify({ by: this.section.dataset.name });
    const answer = await this.ask("PUT", `${this.path}?${query}`, headers, report);
    this.end(answer.status < 400 ? "stored the value" : "lost the task; nothing was stored");
  }
  async giveUp() {
    const answer = await this.ask("DELETE", this.path, { "Compute-Token": this.token });
    this.end(answer.status === 204 ? "gave up" : "lost the task");
  }
  async drop() {
    await this.ask("DELETE", this.path);
    this.say("deleted");
  }
}

/** Describes a lock. A foreign client's lock has no fencing token, and may not expire. */
function describe({ held, fencing_token: token, expires_in: left, owner, waiting }) {
  if (!held) return "The lock is free.";
  const by = owner === null ? "" : ` by “${owner}”`;
  const number = token === null ? "" : `, fencing token ${token}`;
  const time = left === null ? "" : `, ${left.toFixed(1)} s left`;
  return `The lock is held${by}${number}${time}; ${waiting === 1 ? "1 waits" : `${waiting} wait`}.`;
}

/** Names a holder. */
function holder({ fencing_token: token, owner }) {
  if (owner !== null) return `“${owner}”`;
  return token === null ? "a foreign client" : `the holder with fencing token ${token}`;
}

/** The time between two looks at the lock, in ms. */
const LOOK = 500;

/** For how long a holder must be shown before its lock can be broken, in ms. */
const SHOWN_BEFORE_BREAK = 1000;

/** For how long it is told what became of a break, in ms. */
const TOLD = 8000;

/** What anybody may see of the lock, and a button that breaks it. */
class Watcher {
  constructor(section) {
    this.state = section.querySelector(".state");
    this.answer = section.querySelector(".answer");
    this.button = section.querySelector("button");
    this.button.addEventListener("click", () => this.break());
    // The token that was refused, and the one that there was a look ago.
    this.refused = null;
    this.token = field("token");
    this.breaking = false;
    this.breaks = 0;
    this.forget();
    document.getElementById("user").addEventListener("input", () => this.forget());
    this.watch();
  }
  /** Knows nothing of the lock. */
  forget() {
    this.path = url("lock");
    this.seen = null;
    this.button.disabled = true;
    this.say("");
  }
  say(text) {
    clearTimeout(this.silence);
    this.answer.textContent = text;
    this.silence = setTimeout(() => { this.answer.textContent = ""; }, TOLD);
  }
  async watch() {
    for (;;) {
      const token = field("token");
      // A token is not tried again after it was refused, and not while it is typed.
      const isNew = token === this.token && token !== this.refused;
      this.token = token;
      if (isNew && !this.breaking) await this.look();
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
  async look() {
    const [path, token, breaks] = [url("lock"), field("token"), this.breaks];
    if (path !== this.path) this.forget();
    const answer = await ask("GET", path).catch(() => null);
    // What was asked before a break, or of another user, is of no interest any more.
    if (breaks !== this.breaks || path !== url("lock")) return;
    this.refused = answer?.status === 401 ? token : null;
    const lock = answer?.status === 200 ? answer.json : null;
    this.see(path, lock);
    if (lock) this.state.textContent = describe(lock);
    else if (answer) this.state.textContent = answer.json?.detail ?? `${answer.status}`;
    else this.state.textContent = "The service does not answer.";
  }
  /** Keeps who is shown, and since when. */
  see(path, lock) {
    const now = performance.now();
    const { seen } = this;
    if (!lock?.held) this.seen = null;
    else if (!isSame(seen, path, lock)) this.seen = { path, lock, since: now };
    this.button.disabled = !this.seen || now - this.seen.since < SHOWN_BEFORE_BREAK;
  }
  /** Takes the lock from the holder that is shown. */
  async break() {
    const { seen } = this;
    if (!seen || this.breaking) return;
    this.forget();
    this.breaking = true;
    this.breaks += 1;
    const told = await this.breakOf(seen).catch(() => "No answer: it may have been broken or not.");
    if (seen.path === url("lock")) this.say(told);
    this.breaking = false;
    await this.look();
  }
  async breakOf({ path, lock }) {
    const { status: found, json: now } = await ask("GET", path);
    if (found === 200 && !isSame({ path, lock }, path, now)) {
      return "Nothing was broken: the lock is not held by the same any more.";
    }
    const { status, json } = await ask("DELETE", `${path}?force=true`);
    if (status === 204) return `The lock of ${holder(lock)} was broken.`;
    return json?.detail ?? `${status}`;
  }
}

/** Whether it is the same holder of the same lock as before. */
function isSame(before, path, lock) {
  if (before?.path !== path || !lock.held) return false;
  return before.lock.fencing_token === lock.fencing_token;
}

window.addEventListener("DOMContentLoaded", () => {
  document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
  for (const section of document.querySelectorAll(".client")) new Client(section);
  new Cache(document.getElementById("cache"));
  for (const section of document.querySelectorAll(".computer")) new Computer(section);
  new Watcher(document.getElementById("lock"));
});
