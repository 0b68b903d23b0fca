// What every part of the page /docs/live has: requests, their answers, a countdown.

/** The number of answers that a pane shows. */
const SHOWN = 6;

/** What is in a field. */
export const field = (id) => document.getElementById(id).value.trim();
/** A path below that of the user. */
export const url = (rest) => `/api/v1/users/${encodeURIComponent(field("user"))}/${rest}`;

/** Makes an element with a text. */
function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

/** Writes a text. A screen reader reads a text that is written, also if it was there before. */
export function write(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

/** Why a request has no answer. */
class NoAnswer extends Error {
  constructor(why, wasSent) {
    super(why);
    this.wasSent = wasSent;
  }
}

/** Why a request to this path, with this API token, cannot be sent; null if it can. */
function obstacle(path, token) {
  // A browser takes `.` and `..` out of a path, and would ask for something else.
  if (new URL(path, location.href).pathname !== path.split("?")[0]) {
    return `“${decodeURIComponent(path.split("/")[4])}” is no user's id.`;
  }
  // As Latin-1, what is not ASCII would arrive as bytes that are no UTF-8.
  if (/[^ -~]/.test(token)) return "The API token has a character that no header can have.";
  return null;
}

/** Sends a request and reads its whole answer. Throws NoAnswer. */
export async function ask(method, path, headers = {}, body = undefined) {
  const token = field("token");
  const why = obstacle(path, token);
  if (why) throw new NoAnswer(why, false);
  if (token) headers = { ...headers, Authorization: `Bearer ${token}` };
  const began = performance.now();
  try {
    const answer = await fetch(path, { method, headers, body, cache: "no-store" });
    const text = await answer.text();
    let json = null;
    try { json = JSON.parse(text); } catch { /* Empty, or not JSON. */ }
    const ms = performance.now() - began;
    return { method, path, status: answer.status, headers: answer.headers, text, json, ms };
  } catch {
    throw new NoAnswer("The service does not answer.", true);
  }
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
export class Pane {
  constructor(section) {
    this.section = section;
    this.what = section.querySelector(".what");
    this.left = section.querySelector(".left");
    this.answers = section.querySelector(".answers");
    this.buttons = section.querySelectorAll("button");
    this.busy = false;
    this.countdown = new Countdown(section, (left) => this.tick(left));
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.act(button.dataset.do));
    }
  }
  /** Does what a button says. One ends before the next one begins. */
  async act(name) {
    if (this.busy) return;
    this.busy = true;
    try {
      await this[name]();
    } catch (error) {
      this.say(error.message);
    } finally {
      this.busy = false;
      this.can(...this.useful());
    }
  }
  /** The buttons that are of use between two requests. */
  useful() { return [...this.buttons].map((button) => button.dataset.do); }
  can(...names) {
    for (const button of this.buttons) button.disabled = !names.includes(button.dataset.do);
  }
  /** Says something, and beside it what changes all the time, which is not read out. */
  say(what, className = "", left = "") {
    write(this.what, what);
    write(this.left, left);
    for (const name of ["held", "waiting"]) this.section.classList.toggle(name, name === className);
  }
  async ask(method, ...request) {
    const answer = await ask(method, ...request).catch((error) => {
      this.list(`${method}: ${error.message}`, true);
      throw error;
    });
    const failed = answer.status >= 400;
    const problem = (failed && answer.json?.detail) || "";
    const detail = answer.headers.get("cache-status") || problem;
    this.list(`${method} → ${answer.status}, ${answer.ms.toFixed(0)} ms ${detail}`, failed);
    return answer;
  }
  list(line, isBad) {
    this.answers.prepend(element("li", line, isBad ? "bad" : ""));
    while (this.answers.children.length > SHOWN) this.answers.lastElementChild.remove();
  }
}

/**
 * A pane that holds something for a while: by a token, and at the path that it was got from. The
 * panes say what that is, and which buttons are of use.
 */
export class Holder extends Pane {
  constructor(section, template) {
    section.append(document.getElementById(template).content.cloneNode(true));
    section.querySelector("h2").textContent = section.dataset.name;
    super(section);
    this.held = null;
  }
  /** Says that it waits for something to hold. */
  awaits(what) {
    this.can();
    this.say(what, "waiting");
  }
  hold(held, seconds) {
    this.held = { ...held, note: "", perhaps: "" };
    this.countdown.start(seconds);
  }
  end(why) {
    this.held = null;
    this.countdown.stop();
    this.say(why);
    this.can(...this.useful());
  }
  tick(left) {
    // What was asked for in time may have been done.
    if (left <= 0 && !this.busy) return this.end(this.over(this.held.perhaps));
    const { user, note } = this.held;
    const whose = user === field("user") ? "" : ` of user ${user}`;
    this.say(`${this.holds(whose)}${note}`, "held", `; ${left.toFixed(1)} s left`);
  }
  /** Sends a request with the token. Resolves to its answer if what it asks for was done. */
  async use(done, method, query, headers, body) {
    const { held } = this;
    held.note = "";
    let why, isKnown;
    try {
      const answer = await this.ask(method, `${held.path}${query}`, headers, body);
      if (answer.status < 300) return answer;
      // Only this says that the token is of no use any more.
      if (answer.status === 409) return this.end(this.lost(held.perhaps));
      [why, isKnown] = [`${answer.status}`, answer.status < 500];
    } catch (error) {
      [why, isKnown] = [error.message.replace(/\.$/, ""), !error.wasSent];
    }
    if (!isKnown) held.perhaps = done;
    held.note = `; ${isKnown ? "not" : "perhaps"} ${done}: ${why}`;
    return undefined;
  }
}
