// Actions: never two at once for one user, and each once for its idempotency key.

import { json, randomToken, seconds } from "./arguments.js";
import { type EdgelatchError, LockHeld } from "./errors.js";
import { backoff, pause } from "./time.js";
import {
  type Answer,
  type Call,
  isUncertain,
  members,
  pauseBefore,
  stranger,
  type Transport,
  wholeNumber,
} from "./transport.js";

/** How long an action may run, in seconds, if nothing else is said: `max_hold`. */
const LONGEST_ACTION = 60;

/** How long the service waits for the lock at the most, in seconds. */
const LONGEST_WAIT = 60;

/** How often an action is sent again when it is unknown what became of it. */
const RETRIES = 4;

/** How an action is tried. */
export interface AttemptOptions {
  /** The time to live of the lock, in seconds. The service's default if absent. */
  readonly expire?: number | undefined;
  /** 1 to 255 visible ASCII characters. A random one is made if it is absent. */
  readonly idempotencyKey?: string | undefined;
  /** Cancels the waiting for the answer. An action that runs already is not stopped. */
  readonly signal?: AbortSignal | undefined;
}

/** How an action is carried out. */
export interface ActionOptions extends AttemptOptions {
  /** How long to wait for the user's lock, in seconds. The service's default if absent. */
  readonly timeout?: number | undefined;
}

/** An action that was carried out. */
export interface Success<T> {
  readonly status: "success";
  /** What the action returned, if it returned anything. */
  readonly result: T | undefined;
  readonly fencingToken: number | undefined;
  /** How long it waited for the lock, in seconds. */
  readonly lockWait: number | undefined;
  /** It was carried out before, for an earlier request with this idempotency key. */
  readonly replayed: boolean;
}

/** An attempt that did not get the lock. The action did not run. */
export interface Failure {
  readonly status: "failed";
  readonly detail: string;
  /** In seconds. */
  readonly retryAfter: number | undefined;
}

/** The actions of one user. @internal */
export class Actions {
  readonly #transport: Transport;
  readonly #user: string;

  constructor(transport: Transport, user: string) {
    this.#transport = transport;
    this.#user = user;
  }

  async perform<T>(input: unknown, options: ActionOptions): Promise<Success<T>> {
    const call = this.#call("/perform-action", input, options, options.timeout);
    return await this.#settle(call, (answer) => success<T>(call.path, answer));
  }

  async attempt<T>(input: unknown, options: AttemptOptions): Promise<Success<T> | Failure> {
    const call = this.#call("/attempt-action", input, options);
    return await this.#settle(call, (answer) => attempted<T>(call.path, answer));
  }

  /**
   * Sends it until it is known what became of it. While that is unknown, "somebody has the lock"
   * is no answer: that may be this very action, sent before.
   */
  async #settle<T extends { status: string }>(call: Call, read: (answer: Answer) => T): Promise<T> {
    let uncertain: EdgelatchError | undefined;
    for (let tried = 1; ; tried += 1) {
      let wait: number | undefined = backoff(tried);
      try {
        const outcome = read(await this.#transport.send(call));
        if (outcome.status === "success" || uncertain === undefined) {
          return outcome;
        }
      } catch (error) {
        if (isUncertain(error)) {
          uncertain = error;
          wait = pauseBefore(tried, error);
        } else if (uncertain === undefined || !(error instanceof LockHeld)) {
          throw error;
        }
      }
      if (tried > RETRIES || wait === undefined) {
        throw uncertain;
      }
      await pause(wait, call.signal);
    }
  }

  #call(path: string, input: unknown, options: AttemptOptions, timeout?: number): Call {
    const { expire, signal } = options;
    const waits = path === "/perform-action" ? (timeout ?? LONGEST_WAIT) : 0;
    return {
      method: "POST",
      path,
      query: {
        user_id: this.#user,
        timeout: timeout === undefined ? undefined : seconds("timeout", timeout),
        expire: expire === undefined ? undefined : seconds("expire", expire),
      },
      headers: { "Idempotency-Key": options.idempotencyKey ?? randomToken() },
      body: input === undefined ? undefined : json(input),
      takes: (waits + Math.max(expire ?? 0, LONGEST_ACTION)) * 1000,
      signal,
    };
  }
}

function attempted<T>(path: string, answer: Answer): Success<T> | Failure {
  const { status, detail } = members(path, answer);
  if (status !== "failed") {
    return success<T>(path, answer);
  }
  if (typeof detail !== "string") {
    throw stranger(path, answer);
  }
  return { status, detail, retryAfter: wholeNumber(answer.headers.get("Retry-After")) };
}

function success<T>(path: string, answer: Answer): Success<T> {
  const { headers } = answer;
  const told = members(path, answer);
  if (told["status"] !== "success") {
    throw stranger(path, answer);
  }
  const waited = wholeNumber(headers.get("Lock-Wait"));
  return {
    status: "success",
    result: told["result"] as T | undefined,
    fencingToken: wholeNumber(headers.get("Fencing-Token")),
    lockWait: waited === undefined ? undefined : waited / 1000,
    replayed: headers.get("Idempotent-Replayed") === "true",
  };
}
