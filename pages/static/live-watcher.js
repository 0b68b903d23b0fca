// What anybody may see of the lock, and the button that breaks it.

import { ask, field, url, write } from "./live-pane.js";

/**
 * Describes a lock: its holder, and what changes while that has it. A foreign client's lock has
 * no fencing token, and may not expire.
 */
function describe({ held, fencing_token: token, expires_in: left, owner, waiting }) {
  if (!held) return ["The lock is free.", ""];
  const by = owner === null ? "" : ` by “${owner}”`;
  const number = token === null ? "" : `, fencing token ${token}`;
  const time = left === null ? "" : `, ${left.toFixed(1)} s left`;
  return [`The lock is held${by}${number}`, `${time}; ${count(waiting)}.`];
}

/** How many wait. */
function count(waiting) {
  if (waiting === 0) return "nobody waits";
  return waiting === 1 ? "1 waits" : `${waiting} wait`;
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
export class Watcher {
  constructor(section) {
    this.what = section.querySelector(".what");
    this.left = section.querySelector(".left");
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
    const answer = await ask("GET", path).catch(noAnswer);
    // What was asked before a break, or of another user, is of no interest any more.
    if (breaks !== this.breaks || path !== url("lock")) return;
    this.refused = answer.status === 401 ? token : null;
    const lock = lockOf(answer);
    this.see(path, lock);
    const [what, left] = lock ? describe(lock) : [why(answer), ""];
    // Only a change of the first is read out.
    write(this.what, what);
    write(this.left, left);
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
    const told = await this.breakOf(seen);
    if (seen.path === url("lock")) this.say(told);
    this.breaking = false;
    await this.look();
  }
  async breakOf({ path, lock }) {
    const found = await ask("GET", path).catch(noAnswer);
    const now = lockOf(found);
    if (!now) return `Nothing was broken: ${why(found)}`;
    if (!isSame({ path, lock }, path, now)) {
      return "Nothing was broken: the lock is not held by the same any more.";
    }
    const { status, json } = await ask("DELETE", `${path}?force=true`).catch(() => ({}));
    if (status === 204) return `The lock of ${holder(lock)} was broken.`;
    return json?.detail ?? "No answer of edgelatch: it may have been broken or not.";
  }
}

/** Stands for the answer to a request that has none. */
function noAnswer({ message }) {
  return { status: 0, json: { detail: message } };
}

/** The lock that an answer tells of; null if it tells of none. */
function lockOf({ status, json }) {
  return status === 200 && typeof json?.held === "boolean" ? json : null;
}

/** Why an answer tells of no lock. */
function why({ status, json }) {
  return json?.detail ?? `${status}, no answer of edgelatch.`;
}

/** Whether it is the same holder of the same lock as before. */
function isSame(before, path, lock) {
  if (before?.path !== path || !lock.held) return false;
  return before.lock.fencing_token === lock.fencing_token;
}
