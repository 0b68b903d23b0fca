// The JSON cache of a user.

import { json, pathPart, seconds } from "./arguments.js";
import { NotFound, NotLockOwner, PreconditionFailed, UnexpectedAnswer } from "./errors.js";
import { alarm, follow, now } from "./time.js";
import {
  type Answer,
  type Call,
  etag,
  parse,
  stranger,
  type Transport,
  wholeNumber,
} from "./transport.js";

/** A JSON value. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** An entry as it was read. */
export interface Entry<T> {
  readonly modified: true;
  readonly value: T;
  readonly etag: string;
  /** How long it is fresh, in seconds, as far as the service says. */
  readonly maxAge: number | undefined;
  /** How the cache came by it (RFC 9211). */
  readonly cacheStatus: string | undefined;
}

/** The entry is the one that `ifNoneMatch` names. */
export interface NotModified {
  readonly modified: false;
  readonly etag: string;
}

/** What was stored. */
export interface Stored {
  readonly etag: string;
  /** There was no such entry before. */
  readonly created: boolean;
}

/** What cancels a call. */
export interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}

/** Under which condition a call is carried out. ETags with their quotes, or `*`. */
export interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

/** How a value is stored. */
export interface SetOptions extends Conditions, Cancellable {
  /** Its time to live, in seconds. The service's default if absent. */
  readonly expire?: number | undefined;
}

/** How a value is computed. All in seconds. */
export interface ComputeOptions extends Cancellable {
  /** How long the function takes at the most (10). Then another caller may compute the value. */
  readonly compute?: number | undefined;
  /** How long to wait for the value of another caller. The service's default if absent. */
  readonly timeout?: number | undefined;
  /** How long before its expiry one caller computes it anew (0: never). */
  readonly refresh?: number | undefined;
  /** Its time to live. The service's default if absent. */
  readonly expire?: number | undefined;
  /** Told why the function failed when there still was a value, which was returned. */
  readonly onRefreshError?: ((error: unknown) => void) | undefined;
}

/** The entry, the task of computing it, or both: the entry is to be computed anew. */
type Asked<T> =
  | { readonly token: undefined; readonly current: Entry<T> }
  | { readonly token: string; readonly current: Entry<T> | undefined };

/** What computes a value. `signal` is aborted when the time is up, or the caller cancels. */
export type Compute<T> = (signal: AbortSignal) => T | PromiseLike<T>;

/** The JSON cache of a user. */
export class Cache {
  readonly #transport: Transport;
  readonly #path: string;

  /** @internal */
  constructor(transport: Transport, userPath: string) {
    this.#transport = transport;
    this.#path = `${userPath}/cache`;
  }

  /** The entry, or `undefined` if there is none. */
  get<T = Json>(key: string, options?: Cancellable): Promise<Entry<T> | undefined>;
  get<T = Json>(
    key: string,
    options: Cancellable & { readonly ifNoneMatch: string },
  ): Promise<Entry<T> | NotModified | undefined>;
  async get<T>(
    key: string,
    options: Cancellable & { readonly ifNoneMatch?: string } = {},
  ): Promise<Entry<T> | NotModified | undefined> {
    const { signal, ifNoneMatch } = options;
    const path = this.#entry(key);
    const call = { method: "GET", path, headers: { "If-None-Match": ifNoneMatch }, signal };
    try {
      return entry<T>(path, await this.#transport.sendSafely(() => call, { signal }, [304]));
    } catch (error) {
      if (error instanceof NotFound && error.slug === "not-found") {
        return undefined;
      }
      throw error;
    }
  }

  /** Stores a value. Rejects with `PreconditionFailed` if a condition does not hold. */
  async set(key: string, value: unknown, options: SetOptions = {}): Promise<Stored> {
    return await this.#put(key, json(value), options);
  }

  /**
   * Stores a value if the entry still is the one with this ETag, or, for `undefined`, if there is
   * none. Returns what was stored, or `undefined` if somebody was faster.
   */
  async compareAndSet(
    key: string,
    etag: string | undefined,
    value: unknown,
    options: Omit<SetOptions, keyof Conditions> = {},
  ): Promise<Stored | undefined> {
    const condition = etag === undefined ? { ifNoneMatch: "*" } : { ifMatch: etag };
    try {
      return await this.set(key, value, { ...options, ...condition });
    } catch (error) {
      if (error instanceof PreconditionFailed) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * Merges a patch into the entry (RFC 7396). Rejects with `NotFound` if there is none, and with
   * `EntryContended` if others kept changing it.
   */
  async patch<T = Json>(key: string, patch: unknown, options: SetOptions = {}): Promise<Entry<T>> {
    const path = this.#entry(key);
    const call = {
      method: "PATCH",
      path,
      query: expire(options),
      headers: { ...conditions(options), "Content-Type": "application/merge-patch+json" },
      body: json(patch),
      signal: options.signal,
    };
    const answer = await this.#transport.sendSafely(() => call, repeatable(options));
    return read<T>(`PATCH ${path}`, answer);
  }

  /** Deletes the entry, if there is one. */
  async delete(
    key: string,
    options: Omit<Conditions, "ifNoneMatch"> & Cancellable = {},
  ): Promise<void> {
    const call = {
      method: "DELETE",
      path: this.#entry(key),
      headers: conditions(options),
      signal: options.signal,
    };
    const answer = await this.#transport.sendSafely(() => call, repeatable(options));
    if (answer.status !== 204) {
      throw stranger(`DELETE ${call.path}`, answer);
    }
  }

  /**
   * The entry, computed by one caller while the others wait. If the function fails, the next caller
   * computes it; also if the caller cancels. Rejects with `LockHeld` if another caller has not stored
   * it within `timeout`.
   */
  async getOrCompute<T = Json>(
    key: string,
    fn: Compute<T>,
    options: ComputeOptions = {},
  ): Promise<T> {
    const { compute = 10, timeout, refresh, signal } = options;
    const path = this.#entry(key);
    // Not when the value is there, and can be kept nowhere.
    expire(options);
    const call = {
      method: "GET",
      path,
      query: {
        compute: seconds("compute", compute),
        timeout: timeout === undefined ? undefined : seconds("timeout", timeout),
        refresh: refresh === undefined ? undefined : seconds("refresh", refresh),
      },
      takes: (timeout ?? 60) * 1000,
      signal,
    };
    const { token, current } = await this.#ask<T>(call);
    if (token === undefined) {
      return current.value;
    }
    const until = now() + compute * 1000;
    try {
      return await this.#compute(key, token, fn, until, options);
    } catch (error) {
      await this.#giveUp(path, token);
      if (current === undefined || signal?.aborted) {
        throw error;
      }
      options.onRefreshError?.(error);
      return current.value;
    }
  }

  /** Asks for the entry, or else for the task of computing it. */
  async #ask<T>(call: Call): Promise<Asked<T>> {
    const { path, signal } = call;
    try {
      const answer = await this.#transport.sendSafely(() => call, { signal }, [404]);
      const token = answer.headers.get("Compute-Token");
      if (token !== null && answer.status === 404) {
        return { token, current: undefined };
      }
      return { token: token ?? undefined, current: read<T>(`GET ${path}`, answer) };
    } catch (error) {
      const token = error instanceof UnexpectedAnswer ? error.headers.get("Compute-Token") : null;
      if (token !== null) {
        // A proxy has changed the answer, and the task is ours all the same.
        await this.#giveUp(path, token);
      }
      throw error;
    }
  }

  async #compute<T>(
    key: string,
    token: string,
    fn: Compute<T>,
    until: number,
    options: ComputeOptions,
  ): Promise<T> {
    const controller = new AbortController();
    const unfollow = follow(options.signal, controller);
    const cancel = alarm(until, () => {
      controller.abort(new DOMException("The time to compute the value is up", "TimeoutError"));
    });
    let value: T;
    try {
      value = await fn(controller.signal);
    } finally {
      cancel();
      unfollow();
    }
    // The function may not have looked at its signal.
    options.signal?.throwIfAborted();
    const text = json(value);
    try {
      await this.#put(key, text, { expire: options.expire }, token);
    } catch (error) {
      // The time was up, or somebody has stored a newer value. This one is good for its caller.
      if (!(error instanceof NotLockOwner)) {
        throw error;
      }
    }
    return value;
  }

  async #giveUp(path: string, token: string): Promise<void> {
    const call = { method: "DELETE", path, headers: { "Compute-Token": token } };
    // If it fails, the task ends with its time.
    await this.#transport.sendSafely(() => call, { times: 1 }).catch(() => {});
  }

  async #put(
    key: string,
    text: string,
    options: SetOptions,
    computeToken?: string,
  ): Promise<Stored> {
    const path = this.#entry(key);
    const call = {
      method: "PUT",
      path,
      query: expire(options),
      headers: { ...conditions(options), "Compute-Token": computeToken },
      body: text,
      signal: options.signal,
    };
    const answer = await this.#transport.sendSafely(() => call, repeatable(options));
    if (![200, 201].includes(answer.status) || answer.text !== "") {
      throw stranger(`PUT ${path}`, answer);
    }
    return { etag: etag(`PUT ${path}`, answer), created: answer.status === 201 };
  }

  #entry(key: string): string {
    return `${this.#path}/${pathPart("key", key)}`;
  }
}

function conditions(options: Conditions): Record<string, string | undefined> {
  return { "If-Match": options.ifMatch, "If-None-Match": options.ifNoneMatch };
}

/**
 * A conditional write is not repeated: if the first one was carried out, the second would be told
 * that the condition does not hold.
 */
function repeatable(options: Conditions & Cancellable): {
  times?: number;
  signal?: AbortSignal | undefined;
} {
  const { signal } = options;
  const conditional = options.ifMatch !== undefined || options.ifNoneMatch !== undefined;
  return conditional ? { times: 0, signal } : { signal };
}

function expire(options: { readonly expire?: number | undefined }): { expire: string | undefined } {
  return { expire: options.expire === undefined ? undefined : seconds("expire", options.expire) };
}

/** The entry of an answer to a GET, 304 included. @internal */
export function entry<T>(path: string, answer: Answer): Entry<T> | NotModified {
  const call = `GET ${path}`;
  return answer.status === 304
    ? { modified: false, etag: etag(call, answer) }
    : read<T>(call, answer);
}

function read<T>(call: string, answer: Answer): Entry<T> {
  const { headers, status } = answer;
  if (status !== 200) {
    throw stranger(call, answer);
  }
  const age = /max-age=(\d+)/.exec(headers.get("Cache-Control") ?? "")?.[1] ?? null;
  return {
    modified: true,
    value: parse<T>(call, answer),
    etag: etag(call, answer),
    maxAge: wholeNumber(age),
    cacheStatus: headers.get("Cache-Status") ?? undefined,
  };
}
