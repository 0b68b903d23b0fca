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

/** Sends a request and reads its whole answer. */
export async function ask(method, path, headers = {}, body = undefined) {
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
export class Pane {
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
