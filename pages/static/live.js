// Two clients of one lock, the cache of its user, and two who compute an entry. Requests go to this
// service only, and nothing is stored outside this page.

import { Pane, field, url } from "./live-pane.js";
import { Watcher } from "./live-watcher.js";

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

document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
for (const section of document.querySelectorAll(".client")) new Client(section);
new Cache(document.getElementById("cache"));
for (const section of document.querySelectorAll(".computer")) new Computer(section);
new Watcher(document.getElementById("lock"));
