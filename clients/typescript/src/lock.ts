// A lock of a user: acquired, held for the time of a body, looked at.

import { randomToken, seconds, whole } from "./arguments.js";
import { LockHeld, LockLost, Problem, UnexpectedAnswer } from "./errors.js";
import { type Doubtful, giveBack, releaseOnce } from "./give_back.js";
import { type Granted, granted, grantedSince, Lease } from "./lease.js";
import { follow, now, pause } from "./time.js";
import { type Answer, members, stranger, type Transport } from "./transport.js";

/** How long a cancelled acquisition may take to give back what it may have got, in ms. */
const GIVE_BACK_LIMIT = 2000;

/** How long the service waits in one request, in ms. */
const LONGEST_WAIT = 60_000;

/** How long a body may take to end after its lock was lost, in seconds, if nothing else is said. */
const GRACE = 0.5;

/** How a lock is acquired. */
export interface LockOptions {
  /** How long to wait for it, in seconds: 0, not at all, if absent. */
  readonly timeout?: number | undefined;
  /** Its time to live without a renewal, in seconds. The service's default if absent. */
  readonly expire?: number | undefined;
  /** Who holds it and why, for those who wait. Visible ASCII and spaces. */
  readonly owner?: string | undefined;
  /** Cancels the waiting, and aborts the signal of the body. */
  readonly signal?: AbortSignal | undefined;
}

/** How a body is run under a lock. */
export interface RunOptions extends LockOptions {
  /**
   * How long a body may take to end after its lock was lost, in seconds (0.5). Then its promise
   * rejects all the same, and `LockLost.bodyRunning` is true.
   */
  readonly grace?: number | undefined;
}

/** What is done under a lock. `signal` is aborted when the lock is lost, or the caller cancels. */
export type Body<T> = (lease: Lease, signal: AbortSignal) => T | PromiseLike<T>;

/** What can be seen of a lock. */
export type LockState =
  | { readonly held: false; readonly waiting: number | undefined }
  | {
      readonly held: true;
      /** `null` if a foreign client set the lock. */
      readonly fencingToken: number | null;
      /** In seconds. `null` if it has no expiry. */
      readonly expiresIn: number | null;
      readonly owner: string | null;
      /** How many wait for it. */
      readonly waiting: number | undefined;
    };

/** What to wait for. */
export interface WatchOptions {
  /** How long, in seconds (0 to 60). */
  readonly wait: number;
  /** Until the fencing token is another than this; if absent, until the lock is free. */
  readonly after?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A lock of a user: the user's own, the one that actions take, or one with a name. */
export class Lock {
  readonly #transport: Transport;
  readonly #path: string;
  readonly #options: RunOptions;
  readonly #admin: string | undefined;

  /** @internal */
  constructor(
    transport: Transport,
    path: string,
    options: RunOptions,
    adminToken: string | undefined,
  ) {
    this.#transport = transport;
    this.#path = path;
    this.#options = options;
    this.#admin = adminToken;
  }

  /**
   * Acquires the lock. Rejects with `LockHeld` if it is not had in time. After a lost answer or a
   * 503 it tries again within `timeout`, under the same token: a lock that it got unnoticed is not
   * in its own way. The lease must be released, or ends with `await using`.
   */
  async acquire(): Promise<Lease> {
    const { expire, signal } = this.#options;
    signal?.throwIfAborted();
    const token = randomToken();
    const attempt = new AbortController();
    const cancelled = new AbortController();
    const acquisition = this.#acquisition(token, attempt.signal, cancelled.signal);
    const unfollow = follow(signal, cancelled);
    try {
      await Promise.race([acquisition, aborted(cancelled.signal)]);
      if (cancelled.signal.aborted) {
        await this.#takeBack(token, acquisition, attempt);
        throw cancelled.signal.reason;
      }
    } finally {
      unfollow();
    }
    const where = { transport: this.#transport, path: this.#path };
    const lease = new Lease({ ...where, token, expire, ...(await acquisition) });
    try {
      await lease.begin();
    } catch (error) {
      const lock = this.#doubtful(token);
      void lease.release().catch(() => giveBack(lock, false));
      throw error;
    }
    return lease;
  }

  /**
   * Runs a body under the lock and gives it back, whatever becomes of the body.
   *
   * If the lock is lost, the signal of the body is aborted at once, and the promise rejects with
   * `LockLost` when the body has ended, or after `grace`: then `LockLost.bodyRunning` is true and
   * `LockLost.body` tells when it ends.
   *
   * If the caller's signal is aborted, that of the body is too, and the lock is kept until the body
   * has ended. Then the promise rejects with the reason of the signal, or with the body's own
   * error.
   */
  async run<T>(body: Body<T>): Promise<T> {
    seconds("grace", this.#options.grace ?? GRACE);
    const lease = await this.acquire();
    const controller = new AbortController();
    const unfollow = [follow(lease.signal, controller), follow(this.#options.signal, controller)];
    const running = (async () => await body(lease, controller.signal))();
    const ended = running.then(
      () => {},
      () => {},
    );
    try {
      await Promise.race([ended, aborted(lease.signal)]);
      if (lease.signal.aborted) {
        throw await this.#stopped(lease, running, ended);
      }
      const { signal } = this.#options;
      const cancelled = signal?.aborted === true;
      await this.#giveBack(lease, running);
      const result = await running;
      if (cancelled) {
        // The body has not looked at its signal.
        throw signal.reason;
      }
      return result;
    } finally {
      for (const end of unfollow) {
        end();
      }
    }
  }

  /** Who has the lock, and until when. */
  async status(options: { signal?: AbortSignal | undefined } = {}): Promise<LockState> {
    return await this.#state({}, 0, options.signal);
  }

  /** The state of the lock, as soon as it is what is waited for, or else after `wait`. */
  async watch(options: WatchOptions): Promise<LockState> {
    const query = {
      wait: seconds("wait", options.wait),
      after: options.after === undefined ? undefined : String(whole("after", options.after)),
    };
    return await this.#state(query, options.wait * 1000, options.signal);
  }

  /**
   * Takes the lock from whoever holds it. Needs the admin token.
   *
   * It is sent once. After `ConnectionFailed`, `Unavailable` or `UnexpectedAnswer` (502, 503 or 504
   * of a proxy, say) it may have been taken or not: look at `status()` before you try again, or the
   * next holder may lose it.
   */
  async forceRelease(options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const call = {
      method: "DELETE",
      path: this.#path,
      query: { force: "true" },
      bearer: this.#admin,
      signal: options.signal,
    };
    const answer = await this.#transport.send(call);
    if (answer.status !== 204) {
      throw stranger(`DELETE ${this.#path}`, answer);
    }
  }

  /**
   * Acquires it. `signal` ends the request that is under way; once `cancelled` is aborted, no other
   * begins. After a failure it gives back what it may have acquired.
   */
  async #acquisition(
    token: string,
    signal: AbortSignal,
    cancelled: AbortSignal,
  ): Promise<Acquired> {
    const { timeout, expire, owner } = this.#options;
    const deadline = now() + (timeout ?? 0) * 1000;
    let sent = now();
    let waits = false;
    const make = () => {
      sent = now();
      const left = Math.min(Math.max(0, deadline - sent), LONGEST_WAIT);
      waits = left > 0;
      return {
        method: "POST",
        path: this.#path,
        query: {
          timeout: timeout === undefined ? undefined : seconds("timeout", left / 1000),
          expire: expire === undefined ? undefined : seconds("expire", expire),
        },
        headers: { "Lock-Token": token, "Lock-Owner": owner },
        takes: left,
        signal,
      };
    };
    let uncertain = false;
    const onUncertain = () => {
      uncertain = true;
    };
    const retry = { until: deadline, times: Number.POSITIVE_INFINITY, signal, onUncertain };
    // What is asked for is checked as it was written.
    seconds("timeout", timeout ?? 0);
    for (;;) {
      try {
        const answer = await this.#transport.sendSafely(make, retry);
        const since = grantedSince(answer, sent, waits);
        return { granted: granted(`POST ${this.#path}`, answer), since };
      } catch (error) {
        // The service may limit a wait to less than we asked for.
        if (error instanceof LockHeld && deadline - now() > 100 && !cancelled.aborted) {
          await pause(50, cancelled);
          continue;
        }
        // A proxy may have passed it on, and the service may have failed after the deed.
        const failed = error instanceof UnexpectedAnswer || isFailure(error);
        if (uncertain || failed || signal.aborted) {
          const lock = this.#doubtful(token);
          // Whoever cancels has begun to release it.
          void giveBack(lock, !signal.aborted && (await releaseOnce(lock)));
        }
        throw error;
      }
    }
  }

  /**
   * Ends an acquisition that was cancelled. Its request stays open until the service has answered
   * it: the DELETE may arrive before it, and only its answer tells that it can take no lock later.
   */
  async #takeBack(
    token: string,
    acquisition: Promise<Acquired>,
    attempt: AbortController,
  ): Promise<void> {
    const deadline = now() + GIVE_BACK_LIMIT;
    const lock = this.#doubtful(token);
    const settled = new AbortController();
    acquisition.then(
      () => settled.abort(),
      () => settled.abort(),
    );
    while (!settled.signal.aborted && now() < deadline) {
      await releaseOnce(lock, deadline - now());
      await pause(100, settled.signal);
    }
    attempt.abort();
    const got = await acquisition.catch(() => undefined);
    if (got !== undefined && !(await releaseOnce(lock))) {
      void giveBack(lock, false);
    }
  }

  #doubtful(token: string): Doubtful {
    const { expire } = this.#options;
    return { transport: this.#transport, path: this.#path, token, expire };
  }

  async #stopped(lease: Lease, running: Promise<unknown>, ended: Promise<void>): Promise<LockLost> {
    const lost = lease.signal.reason as LockLost;
    const done = new AbortController();
    void ended.then(() => {
      done.abort();
      return lease.release().catch(() => {});
    });
    await pause((this.#options.grace ?? GRACE) * 1000, done.signal);
    lost.bodyRunning = !done.signal.aborted;
    lost.body = running;
    return lost;
  }

  /** Gives the lock back after the body. Its own error does not hide that of the body. */
  async #giveBack(lease: Lease, running: Promise<unknown>): Promise<void> {
    try {
      await lease.release();
    } catch (error) {
      // In an outage the lock ends with its time to live; the work was done under it.
      if (error instanceof LockLost) {
        error.body = running;
        await running;
        throw error;
      }
    }
  }

  async #state(
    query: Readonly<Record<string, string | undefined>>,
    takes: number,
    signal: AbortSignal | undefined,
  ): Promise<LockState> {
    const call = { method: "GET", path: this.#path, query, takes, signal };
    const answer = await this.#transport.sendSafely(() => call, { signal });
    return lockState(`GET ${this.#path}`, answer);
  }
}

function isFailure(error: unknown): boolean {
  return error instanceof Problem && error.status >= 500;
}

interface Acquired {
  readonly granted: Granted;
  /** The earliest moment at which it can have been granted. */
  readonly since: number;
}

function lockState(call: string, answer: Answer): LockState {
  const told = members(call, answer);
  const member = <T>(name: string, is: (value: unknown) => value is T): T | null => {
    const value = told[name] ?? null;
    if (value !== null && !is(value)) {
      throw stranger(call, answer);
    }
    return value;
  };
  const held = member("held", isBoolean);
  const waiting = member("waiting", isNumber) ?? undefined;
  if (held === null) {
    throw stranger(call, answer);
  }
  if (!held) {
    return { held, waiting };
  }
  return {
    held,
    fencingToken: member("fencing_token", isNumber),
    expiresIn: member("expires_in", isNumber),
    owner: member("owner", isString),
    waiting,
  };
}

const isBoolean = (value: unknown) => typeof value === "boolean";
const isNumber = (value: unknown) => typeof value === "number";
const isString = (value: unknown) => typeof value === "string";

/** Resolves once the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    }
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
