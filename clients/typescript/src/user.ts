// What there is of one user.

import {
  type ActionOptions,
  Actions,
  type AttemptOptions,
  type Failure,
  type Success,
} from "./actions.js";
import { pathPart, seconds, type UserId, userId } from "./arguments.js";
import {
  Cache,
  type Cancellable,
  type Entry,
  entry,
  type Json,
  type NotModified,
} from "./cache.js";
import { type Body, Lock, type RunOptions } from "./lock.js";
import type { Transport } from "./transport.js";

/** How a user is read through the cache. */
export interface ReadOptions extends Cancellable {
  /** How long what is fetched is fresh, in seconds. The service's default if absent. */
  readonly expire?: number | undefined;
  /** Fetch it from the origin, whatever the cache has. */
  readonly noCache?: boolean | undefined;
  /** Do not keep what is fetched. */
  readonly noStore?: boolean | undefined;
}

/** One user: its locks, its actions, its cache. */
export class User {
  /** The JSON cache of this user. */
  readonly cache: Cache;
  readonly #transport: Transport;
  readonly #path: string;
  readonly #actions: Actions;
  readonly #admin: string | undefined;

  /** @internal */
  constructor(transport: Transport, id: UserId, adminToken: string | undefined) {
    this.#transport = transport;
    this.#path = `/${userId(id)}`;
    this.#actions = new Actions(transport, String(id));
    this.#admin = adminToken;
    this.cache = new Cache(transport, this.#path);
  }

  /** The user's own lock, the one that actions take. */
  lock(options?: RunOptions): Lock;
  /** The lock of this name. */
  lock(name: string, options?: RunOptions): Lock;
  /** Runs a body under the user's own lock: see `Lock.run`. */
  lock<T>(body: Body<T>): Promise<T>;
  lock<T>(options: RunOptions, body: Body<T>): Promise<T>;
  /** Runs a body under the lock of this name: see `Lock.run`. */
  lock<T>(name: string, body: Body<T>): Promise<T>;
  lock<T>(name: string, options: RunOptions, body: Body<T>): Promise<T>;
  lock<T>(...given: (string | RunOptions | Body<T> | undefined)[]): Lock | Promise<T> {
    let path = `${this.#path}/lock`;
    let options: RunOptions = {};
    let body: Body<T> | undefined;
    for (const argument of given) {
      if (typeof argument === "string") {
        path = `${this.#path}/locks/${pathPart("lock name", argument)}`;
      } else if (typeof argument === "function") {
        body = argument;
      } else if (argument !== undefined) {
        options = argument;
      }
    }
    const lock = new Lock(this.#transport, path, options, this.#admin);
    return body === undefined ? lock : lock.run(body);
  }

  /**
   * Waits for the user's lock, runs the action and stores its result. Rejects with `LockHeld` if
   * the lock is not had in time: then the action did not run.
   *
   * After a lost answer or a 503 it is sent again under the same idempotency key, a few times: the
   * action runs once. If it is still unknown then what became of it, that failure is told.
   */
  async performAction<T = Json>(input?: unknown, options: ActionOptions = {}): Promise<Success<T>> {
    return await this.#actions.perform<T>(input, options);
  }

  /** The same without waiting: `failed` if somebody else has the lock. */
  async attemptAction<T = Json>(
    input?: unknown,
    options: AttemptOptions = {},
  ): Promise<Success<T> | Failure> {
    return await this.#actions.attempt<T>(input, options);
  }

  /** The user's JSON, read from the origin through the cache. */
  get<T = Json>(options?: ReadOptions): Promise<Entry<T>>;
  get<T = Json>(
    options: ReadOptions & { readonly ifNoneMatch: string },
  ): Promise<Entry<T> | NotModified>;
  async get<T>(
    options: ReadOptions & { readonly ifNoneMatch?: string } = {},
  ): Promise<Entry<T> | NotModified> {
    const { expire, noCache, noStore, signal } = options;
    // Without this header, `fetch` would send `no-cache` with its setting `no-store` and with
    // `If-None-Match`, which forces the service to ask the origin.
    const control = ["no-transform"];
    if (noCache) {
      control.push("no-cache");
    }
    if (noStore) {
      control.push("no-store");
    }
    const call = {
      method: "GET",
      path: this.#path,
      query: { expire: expire === undefined ? undefined : seconds("expire", expire) },
      headers: {
        "Cache-Control": control.join(", "),
        "If-None-Match": options.ifNoneMatch,
      },
      takes: READ_LIMIT,
      signal,
    };
    const answer = await this.#transport.sendSafely(() => call, { signal }, [304]);
    return entry<T>(this.#path, answer);
  }
}

/** How long the service may wait for the origin, in ms. */
const READ_LIMIT = 60_000;
