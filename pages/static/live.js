// Two clients of one lock, the cache of its user, and two who compute an entry. Requests go to this
// service only, and nothing is stored outside this page.

import { Holder, Pane, field, url } from "./live-pane.js";
import { Watcher } from "./live-watcher.js";

/** A client with a lock token of its own. */
class Client extends Holder {
  constructor(section) {
    super(section, "client");
    this.owner = `${section.dataset.name}, at /docs/live`;
    // A token whose request was not answered. It may have the lock.
    this.doubtful = null;
  }
  useful() { return this.held ? ["renew", "release"] : ["take", "wait"]; }
  holds(whose) { return `holds the lock${whose}, fencing token ${this.held.fencing}`; }
  over(perhaps) {
    return perhaps === "renewed" ? "the lock expired, unless it was renewed" : "the lock expired";
  }
  lost(perhaps) {
    return perhaps === "released" ? "released the lock, or lost it" : "lost the lock";
  }
  async acquire(timeout) {
    const [path, user] = [url("lock"), field("user")];
    // A new token for each hold. With it, a retry after a lost answer renews the lock.
    const token = this.doubtful?.path === path ? this.doubtful.token : newToken();
    this.doubtful = { path, token };
    const query = new URLSearchParams({ timeout, expire: field("expire") });
    this.awaits("waits for the lock");
    const headers = { "Lock-Token": token, "Lock-Owner": this.owner };
    const answer = await this.ask("POST", `${path}?${query}`, headers);
    if (answer.status < 500) this.doubtful = null;
    if (answer.status < 300) {
      const { fencing_token: fencing, expires_in: left } = answer.json;
      return this.hold({ path, user, token, fencing }, left);
    }
    const after = answer.headers.get("retry-after");
    this.say(after ? `did not get the lock; retry in ${after} s` : "did not get the lock");
  }
  take() { return this.acquire("0"); }
  wait() { return this.acquire(field("timeout")); }
  async renew() {
    const { held } = this;
    const query = new URLSearchParams({ expire: field("expire") });
    const answer = await this.use("renewed", "PUT", `?${query}`, { "Lock-Token": held.token });
    if (answer) this.hold(held, answer.json.expires_in);
  }
  async release() {
    const token = { "Lock-Token": this.held.token };
    if (await this.use("released", "DELETE", "", token)) this.end("released the lock");
  }
}

/** 128 random bits, in hexadecimal. */
function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An entry of the user's cache. */
class Cache extends Pane {
  constructor(section) {
    super(section);
    this.forget("nothing read yet");
    // What is known is of another user's entry.
    document.getElementById("user").addEventListener("input", () => {
      this.forget("nothing read yet");
    });
  }
  /** Knows nothing of the entry. */
  forget(why) {
    this.path = url("cache/live");
    this.tag = null;
    this.lifetime = 0;
    this.countdown.stop();
    this.say(why);
  }
  tick(left) {
    if (left <= 0) return this.forget("expired");
    const age = (this.lifetime - left).toFixed(1);
    this.say(this.found, "", `, ${age} s old; ${left.toFixed(1)} s left`);
  }
  /** Sends a request. Resolves to its answer, unless it is refused or of another user's entry. */
  async send(done, method, query = "", headers = {}, body = undefined) {
    const { path } = this;
    const answer = await this.ask(method, `${path}${query}`, headers, body);
    if (path !== this.path) return undefined;
    if (answer.status < 400 || (method === "GET" && answer.status === 404)) return answer;
    // A countdown goes on.
    if (this.countdown.end === null) this.say(`not ${done}: ${answer.status}`);
    return undefined;
  }
  async put() {
    const expire = field("expire");
    const query = new URLSearchParams({ expire });
    const body = this.section.querySelector("textarea").value;
    const json = { "Content-Type": "application/json" };
    const answer = await this.send("stored", "PUT", `?${query}`, json, body);
    if (!answer) return;
    this.tag = answer.headers.get("etag");
    this.lifetime = Number(expire);
    this.found = "stored";
    this.countdown.start(this.lifetime);
  }
  async read() {
    const known = this.tag ? { "If-None-Match": this.tag } : {};
    const answer = await this.send("read", "GET", "", known);
    if (!answer) return;
    if (answer.status === 404) return this.forget("miss: there is no entry");
    const isKnown = answer.status === 304;
    this.tag = answer.headers.get("etag");
    this.found = isKnown ? "hit, unchanged" : "hit";
    // max-age is in whole seconds, rounded down: a running countdown knows better.
    if (isKnown && this.countdown.end !== null) return;
    const left = /max-age=(\d+)/.exec(answer.headers.get("cache-control") ?? "");
    if (!left) return this.say(this.found);
    this.lifetime = Math.max(isKnown ? this.lifetime : 0, Number(left[1]));
    this.countdown.start(Number(left[1]));
  }
  async drop() {
    if (await this.send("deleted", "DELETE")) this.forget("deleted");
  }
}

/** A client that reads an entry, or computes it if that is its task. */
class Computer extends Holder {
  constructor(section) {
    super(section, "computer");
  }
  useful() { return this.held ? ["store", "giveUp"] : ["read", "drop"]; }
  holds(whose) { return `computes the value${whose}`; }
  over() { return "the time to compute is up"; }
  lost(perhaps) {
    if (perhaps === "stored") return "stored the value, or lost the task";
    return perhaps ? "gave up, or lost the task" : "lost the task; nothing was stored";
  }
  async read() {
    const [path, user, compute] = [url("cache/report"), field("user"), field("expire")];
    const query = new URLSearchParams({ compute, timeout: field("timeout") });
    this.awaits("waits for the value");
    const answer = await this.ask("GET", `${path}?${query}`);
    if (answer.status === 200) return this.say(`found ${answer.text}`);
    const token = answer.headers.get("compute-token");
    if (!token) return this.say("got neither the value nor the task");
    this.hold({ path, user, token }, Number(compute));
  }
  async store() {
    const headers = { "Content-Type": "application/json", "Compute-Token": this.held.token };
    const report = JSON.stringify({ by: this.section.dataset.name });
    const stored = await this.use("stored", "PUT", "?expire=60", headers, report);
    if (stored) this.end("stored the value");
  }
  async giveUp() {
    const token = { "Compute-Token": this.held.token };
    if (await this.use("given up", "DELETE", "", token)) this.end("gave up");
  }
  async drop() {
    const { status } = await this.ask("DELETE", url("cache/report"));
    this.say(status === 204 ? "deleted" : `not deleted: ${status}`);
  }
}

document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
for (const section of document.querySelectorAll(".client")) new Client(section);
new Cache(document.getElementById("cache"));
for (const section of document.querySelectorAll(".computer")) new Computer(section);
new Watcher(document.getElementById("lock"));
