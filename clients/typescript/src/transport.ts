// One request and its answer; and when a request is sent again.

import { headerValue } from "./arguments.js";
import {
  ConnectionFailed,
  type EdgelatchError,
  type Fault,
  type Problem,
  problem,
  Unavailable,
  UnexpectedAnswer,
} from "./errors.js";
import { alarm, backoff, follow, now, pause } from "./time.js";

/** What sends requests: the global `fetch`, or one like it. */
export type Fetch = (input: string, init: RequestInit) => Promise<Response>;

/** A request. */
export interface Call {
  readonly method: string;
  /** Behind the base of the API, encoded. */
  readonly path: string;
  /** Undefined values are left out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** JSON text. */
  readonly body?: string | undefined;
  /** How long the service may take by its contract, in ms: a wait, an action. */
  readonly takes?: number;
  /** How long it may take in all, in ms, if not `takes` and the usual time. */
  readonly limit?: number;
  /** Aborts it, with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** In place of the client's token. */
  readonly bearer?: string | undefined;
}

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** When a request is sent again. */
export interface Retry {
  /** No retry begins at this time of the clock or later. */
  readonly until?: number;
  /** How many retries there may be. By default, what the client allows. */
  readonly times?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told of every failure that leaves open whether the request was carried out. */
  readonly onUncertain?: (error: EdgelatchError) => void;
}

/** Whether a request that failed so may be sent again, and may have been carried out. */
export function isUncertain(error: unknown): error is ConnectionFailed | Unavailable {
  return error instanceof ConnectionFailed || error instanceof Unavailable;
}

/** How long a pause a 503 may ask for, in ms, before its failure is told instead. */
const LONGEST_PAUSE = 30_000;

/**
 * How long to pause before a retry, in ms: what was asked for, or else more for each failure.
 * `undefined` if that is so long that the caller had better know of it.
 */
export function pauseBefore(retry: number, error: EdgelatchError): number | undefined {
  const asked = error instanceof Unavailable ? (error.retryAfter ?? 0) * 1000 : 0;
  return asked > LONGEST_PAUSE ? undefined : Math.max(asked, backoff(retry));
}

export class Transport {
  readonly #base: string;
  readonly #fetch: Fetch;
  readonly #bearer: string | undefined;
  readonly #usual: number;
  readonly #retries: number;

  constructor(settings: {
    base: string;
    fetch: Fetch | undefined;
    token: string | undefined;
    /** In ms. */
    usual: number;
    retries: number;
  }) {
    this.#base = `${settings.base}/api/v1/users`;
    // Browsers want `fetch` to be called as a global.
    this.#fetch = settings.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#bearer = settings.token;
    this.#usual = settings.usual;
    this.#retries = settings.retries;
  }

  /** How long an answer that waits for nothing may take, in ms. */
  get usual(): number {
    return this.#usual;
  }

  /**
   * Sends it once. Rejects with a problem, or with the reason of `call.signal`. These statuses are
   * answers too: 2xx, and those in `also`. Each of the service's has an `X-Request-Id`.
   */
  async send(call: Call, also: readonly number[] = []): Promise<Answer> {
    const answer = await this.#exchange(call);
    if ((answer.status < 200 || answer.status >= 300) && !also.includes(answer.status)) {
      throw asError(call, answer);
    }
    if (!answer.headers.get("X-Request-Id")) {
      throw stranger(`${call.method} ${call.path}`, answer);
    }
    return answer;
  }

  /** Sends it, and again while that is allowed and may help. `make` makes each request anew. */
  async sendSafely(
    make: () => Call,
    retry: Retry = {},
    also: readonly number[] = [],
  ): Promise<Answer> {
    const times = retry.times ?? this.#retries;
    for (let tried = 1; ; tried += 1) {
      try {
        return await this.send(make(), also);
      } catch (error) {
        if (!isUncertain(error)) {
          throw error;
        }
        retry.onUncertain?.(error);
        const wait = pauseBefore(tried, error);
        const until = retry.until ?? Number.POSITIVE_INFINITY;
        if (tried > times || wait === undefined || now() + wait >= until) {
          throw error;
        }
        await pause(wait, retry.signal);
        retry.signal?.throwIfAborted();
      }
    }
  }

  async #exchange(call: Call): Promise<Answer> {
    const { method, signal } = call;
    signal?.throwIfAborted();
    const headers = this.#headers(call);
    const limit = call.limit ?? (call.takes ?? 0) + this.#usual;
    const controller = new AbortController();
    const unfollow = follow(signal, controller);
    let late = false;
    const cancel = alarm(now() + limit, () => {
      late = true;
      controller.abort();
    });
    const init: RequestInit = {
      method,
      headers,
      // The service redirects nowhere, and a token is for nobody else.
      redirect: "manual",
      signal: controller.signal,
    };
    if (call.body !== undefined) {
      init.body = call.body;
    }
    // Not from the cache of a browser. Some edge runtimes have none and refuse the setting.
    if ("cache" in Request.prototype) {
      init.cache = "no-store";
    }
    try {
      const response = await this.#fetch(this.#base + call.path + query(call.query), init);
      return {
        status: response.status,
        headers: response.headers,
        text: await response.text(),
      };
    } catch (error) {
      if (signal?.aborted) {
        throw signal.reason;
      }
      const why = late ? `no answer within ${Math.round(limit)} ms` : "no answer";
      throw new ConnectionFailed(`${method} ${call.path}: ${why}`, { cause: error });
    } finally {
      cancel();
      unfollow();
    }
  }

  #headers(call: Call): Headers {
    const headers = new Headers({ Accept: "application/json" });
    if (call.body !== undefined) {
      headers.set("Content-Type", "application/json");
    }
    const bearer = call.bearer ?? this.#bearer;
    if (bearer !== undefined) {
      headers.set("Authorization", `Bearer ${bearer}`);
    }
    for (const [name, value] of Object.entries(call.headers ?? {})) {
      if (value !== undefined) {
        headers.set(name, headerValue(name, value));
      }
    }
    return headers;
  }
}

function query(parameters: Call["query"]): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (value !== undefined) {
      search.set(name, value);
    }
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

function asError(call: Call, answer: Answer): Problem | UnexpectedAnswer {
  const { status, headers } = answer;
  const said = headers.get("Content-Type")?.startsWith("application/problem+json")
    ? readProblem(answer.text)
    : undefined;
  const slug = /^urn:edgelatch:(.+)$/.exec(text(said?.["type"]) ?? "")?.[1];
  if (said === undefined || slug === undefined) {
    const message = `${call.method} ${call.path}: an answer of status ${status} that is no problem`;
    return new UnexpectedAnswer(message, answer);
  }
  return problem({
    status,
    slug,
    title: text(said["title"]),
    detail: text(said["detail"]),
    instance: text(said["instance"]),
    errors: Array.isArray(said["errors"]) ? (said["errors"] as Fault[]) : undefined,
    requestId: headers.get("X-Request-Id") ?? undefined,
    retryAfter: wholeNumber(headers.get("Retry-After")),
    owner: text(said["owner"]),
    waiting: typeof said["waiting"] === "number" ? said["waiting"] : undefined,
  });
}

function readProblem(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A header that is a whole number, and one that a number holds exactly. */
export function wholeNumber(value: string | null): number | undefined {
  const number = /^\d+$/.test(value ?? "") ? Number(value) : undefined;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** The JSON of an answer. */
export function parse<T>(call: string, answer: Answer): T {
  try {
    return JSON.parse(answer.text) as T;
  } catch {
    throw new UnexpectedAnswer(`${call}: the answer is not JSON`, answer);
  }
}

/** The JSON object of an answer. */
export function members(call: string, answer: Answer): Readonly<Record<string, unknown>> {
  const told = parse<unknown>(call, answer);
  if (typeof told !== "object" || told === null || Array.isArray(told)) {
    throw stranger(call, answer);
  }
  return told as Record<string, unknown>;
}

/** For an answer that the service does not give: from a proxy, say. */
export function stranger(call: string, answer: Answer): UnexpectedAnswer {
  return new UnexpectedAnswer(`${call}: the answer is not one of edgelatch`, answer);
}

/** The entity tag of an answer that has one by the contract, and tells nothing else. */
export function etag(call: string, answer: Answer): string {
  const tag = answer.headers.get("ETag");
  if (!tag) {
    throw stranger(call, answer);
  }
  return tag;
}
