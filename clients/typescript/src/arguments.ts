// Arguments, checked before a request is made of them. `fetch` would quote a bad header, a token
// among them, in the message of its error.

/** A user: an integer, a UUID or a name, as the service is set up. */
export type UserId = number | bigint | string;

/** @internal */
export function userId(id: UserId): string {
  if (typeof id === "number" && !Number.isSafeInteger(id)) {
    throw new RangeError(`user id ${id}: not an integer that a number holds exactly; use a bigint`);
  }
  return pathPart("user id", String(id));
}

/** A part of a path, percent-encoded. @internal */
export function pathPart(what: string, name: string): string {
  // A URL parser would resolve these two, however they are encoded.
  if (name === "" || name === "." || name === "..") {
    throw new RangeError(`${what} ${JSON.stringify(name)}: not allowed`);
  }
  try {
    return encodeURIComponent(name);
  } catch {
    throw new RangeError(`${what} ${JSON.stringify(name)}: half of a surrogate pair`);
  }
}

/**
 * The value of a header. `fetch` would leave out spaces at its ends, and send something else. A bad
 * one is not quoted: it may be a secret. @internal
 */
export function headerValue(what: string, value: string): string {
  if (!/^[!-~](?:[ -~]*[!-~])?$/.test(value)) {
    throw new RangeError(`${what}: only visible ASCII, and spaces between, are allowed`);
  }
  return value;
}

/** A token, without white space around it: a file ends with a newline. @internal */
export function bareToken(what: string, value: string): string {
  const bare = value.trim();
  if (!/^[!-~]+$/.test(bare)) {
    throw new RangeError(`${what}: only visible ASCII without spaces is allowed, and not nothing`);
  }
  return bare;
}

/** The address of the service, without a slash at its end. @internal */
export function baseUrl(url: string | URL): string {
  let parsed: URL;
  let at = false;
  try {
    // In a browser, a path will do, but `undefined` would be one.
    const text = typeof url === "string" ? url : url.href;
    parsed = new URL(text, globalThis.location?.href);
    // A slash in a password makes a path of the rest of it.
    at = text.includes("@");
  } catch {
    throw new TypeError("url: not an address such as http://127.0.0.1:9001");
  }
  if (!/^https?:$/.test(parsed.protocol) || at) {
    throw new TypeError("url: http or https, without a user and a password; @ in a path is %40");
  }
  if (parsed.search || parsed.hash) {
    throw new TypeError("url: no query and no fragment");
  }
  return parsed.href.replace(/\/+$/, "");
}

/**
 * A number of seconds, as it was written: the service checks it before it rounds. In digits, since
 * it knows no exponents. @internal
 */
export function seconds(what: string, value: number): string {
  if (!Number.isFinite(value) || value < 0) {
    throw new RangeError(`${what}: ${value} is not a number of seconds`);
  }
  const text = String(value);
  const [digits = "", exponent] = text.split("e");
  if (exponent === undefined) {
    return text;
  }
  const power = Number(exponent);
  if (power > 0) {
    return BigInt(value).toString();
  }
  const decimals = (digits.split(".")[1]?.length ?? 0) - power;
  return value.toFixed(Math.min(decimals, MOST_DECIMALS));
}

/** How many `toFixed` writes. */
const MOST_DECIMALS = 100;

/** A whole number, such as a count or a fencing token. @internal */
export function whole(what: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${what}: ${value} is not a whole number`);
  }
  return value;
}

/** A value as JSON text. A number that JSON does not have would become `null`. @internal */
export function json(value: unknown): string {
  const text: string | undefined = JSON.stringify(value, (_, member: unknown) => {
    if (typeof member === "number" && !Number.isFinite(member)) {
      throw new TypeError(`${member} cannot be written as JSON`);
    }
    return member;
  });
  if (text === undefined) {
    throw new TypeError("the value cannot be written as JSON");
  }
  return text;
}

/** 128 random bits. @internal */
export function randomToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
