// A lock that is held: kept alive in the background, and given back.

import { seconds } from "./arguments.js";
import { type EdgelatchError, LockLost, NotLockOwner, Problem } from "./errors.js";
import { alarm, backoff, now, pause } from "./time.js";
import { type Answer, members, stranger, type Transport } from "./transport.js";

/** The body of an answer to an acquisition or a renewal. */
export interface Granted {
  readonly fencing_token: number;
  readonly expires_in: number;
}

/** The body of such an answer, which a proxy may have replaced. */
export function granted(call: string, answer: Answer): Granted {
  const told = members(call, answer);
  if (!isWhole(told["fencing_token"]) || !isSeconds(told["expires_in"])) {
    throw stranger(call, answer);
  }
  return { fencing_token: told["fencing_token"], expires_in: told["expires_in"] };
}

/**
 * The earliest moment at which the service can have granted what was asked for at `sent`: its time
 * to live counts from there. If the request might wait, the service tells when it sent its last try,
 * counted from when the request came. A proxy may remove that.
 */
export function grantedSince(answer: Answer, sent: number, mightWait: boolean): number {
  const timing = mightWait ? (answer.headers.get("Server-Timing") ?? "") : "";
  const waited = /(?:^|[\s,])wait;dur=(\d+(?:\.\d+)?)\s*(?:[,;]|$)/.exec(timing)?.[1];
  return Math.min(sent + Number(waited ?? 0), now());
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function isSeconds(value: unknown): value is number {
  return typeof value === "number" && value >= 0;
}

interface Terms {
  readonly transport: Transport;
  readonly path: string;
  readonly token: string;
  readonly granted: Granted;
  /** The earliest moment at which it can have been granted. */
  readonly since: number;
  /** What was asked for, in seconds, if anything. */
  readonly expire: number | undefined;
}

/**
 * A lock that is held. It is renewed in the background at a third of its time to live, until it is
 * released or lost. It counts as lost when the service says so, or when its time to live has passed
 * by a monotonic clock without a renewal that succeeded.
 */
export class Lease implements AsyncDisposable {
  /** Greater than that of every earlier holder. A store that compares them can refuse the late. */
  readonly fencingToken: number;
  readonly #terms: Terms;
  /** How often it is renewed, in ms. */
  readonly #interval: number;
  readonly #onLoss = new AbortController();
  readonly #stop = new AbortController();
  /** When the last renewal that succeeded was sent; before that, when it was granted. */
  #renewedAt: number;
  #expiresAt: number;
  #cancelExpiry = () => {};
  #lost: LockLost | undefined;
  #failure: unknown;
  #released: Promise<void> | undefined;

  /** @internal */
  constructor(terms: Terms) {
    this.#terms = terms;
    this.fencingToken = terms.granted.fencing_token;
    this.#interval = ((terms.expire ?? terms.granted.expires_in) * 1000) / 3;
    this.#renewedAt = terms.since;
    this.#expiresAt = terms.since + terms.granted.expires_in * 1000;
  }

  /**
   * Begins to keep it. If much of its time has passed, it is renewed first: the answer to its
   * acquisition was long on its way, or waited, and does not tell how long. Then only the service
   * knows whether it is still held. Rejects with `LockLost` if it is not. @internal
   */
  async begin(): Promise<void> {
    if (now() - this.#renewedAt > this.#interval) {
      const until = now() + this.#terms.transport.usual;
      await this.#renew({ until }, () => until);
      // This answer may have been long on its way, too.
      this.throwIfLost();
    } else {
      this.#watchExpiry();
    }
    void this.#keep();
  }

  /** Aborted when the lock is lost, with the `LockLost` as its reason. */
  get signal(): AbortSignal {
    return this.#onLoss.signal;
  }

  /** How long it is held at least, without another renewal, in seconds. */
  get expiresIn(): number {
    return this.#stop.signal.aborted ? 0 : Math.max(0, this.#expiresAt - now()) / 1000;
  }

  /** Throws `LockLost` if the lock is lost. To be called before each step that cannot be undone. */
  throwIfLost(): void {
    // The timer may be late, if something has blocked this thread.
    if (!this.#stop.signal.aborted && now() >= this.#expiresAt) {
      this.#expired();
    }
    if (this.#lost) {
      throw this.#lost;
    }
  }

  /**
   * Renews it now. Rejects with `LockLost` if it is lost, and with another error if the service
   * cannot be reached: then it is still held for `expiresIn`.
   */
  async renew(): Promise<void> {
    this.throwIfLost();
    if (this.#released !== undefined) {
      throw LockLost.found("The lock was released");
    }
    await this.#renew({ until: this.#expiresAt });
  }

  /**
   * Gives it back. Rejects with `LockLost` if it had been lost, and with another error if the
   * service cannot be reached: then the lock ends with its time to live.
   */
  release(): Promise<void> {
    this.#released ??= this.#release().catch((error: unknown) => {
      if (!(error instanceof LockLost)) {
        this.#released = undefined;
      }
      throw error;
    });
    return this.#released;
  }

  /**
   * Gives it back at the end of an `await using`. Throws only if it turns out now that the lock was
   * lost: what `signal` has told before, or an outage, must not hide an error of the block.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const told = this.signal.aborted;
    try {
      await this.release();
    } catch (error) {
      if (error instanceof LockLost && !told) {
        throw error;
      }
    }
  }

  async #keep(): Promise<void> {
    let failures = 0;
    let next = this.#renewedAt + this.#interval;
    for (;;) {
      await pause(next - now(), this.#stop.signal);
      if (this.#stop.signal.aborted) {
        return;
      }
      try {
        await this.#renew({ times: 0 });
        failures = 0;
        this.#failure = undefined;
        next = this.#renewedAt + this.#interval;
      } catch (error) {
        failures += 1;
        this.#failure = error;
        const asked = error instanceof Problem ? (error.retryAfter ?? 0) * 1000 : 0;
        next = now() + Math.min(this.#interval / 2, Math.max(asked, backoff(failures)));
      }
    }
  }

  /** `end`: when no answer is waited for any longer. */
  async #renew(
    retry: { until?: number; times?: number },
    end: () => number = () => this.#expiresAt,
  ): Promise<void> {
    const { transport, path, token, expire } = this.#terms;
    let sent = now();
    const make = () => {
      sent = now();
      const patience = Math.min(transport.usual, Math.max(this.#interval, 100));
      return {
        method: "PUT",
        path,
        query: { expire: expire === undefined ? undefined : seconds("expire", expire) },
        headers: { "Lock-Token": token },
        limit: Math.max(1, Math.min(patience, end() - sent)),
        signal: this.#stop.signal,
      };
    };
    try {
      const answer = await transport.sendSafely(make, { ...retry, signal: this.#stop.signal });
      const renewed = granted(`PUT ${path}`, answer);
      if (renewed.fencing_token !== this.fencingToken) {
        // A repeated acquisition came late and took the lock again. Others may have had it.
        throw this.#lose("The lock was lost and acquired again", undefined);
      }
      // From when it was sent: the service renewed it no earlier.
      this.#renewedAt = sent;
      this.#expiresAt = Math.max(this.#expiresAt, sent + renewed.expires_in * 1000);
      if (!this.#stop.signal.aborted) {
        this.#watchExpiry();
      }
    } catch (error) {
      if (error instanceof NotLockOwner) {
        throw this.#lose("The lock expired or was taken", error);
      }
      throw error;
    }
  }

  async #release(): Promise<void> {
    if (this.#lost === undefined) {
      this.#end();
    } else {
      // By our clock it has expired. If a renewal arrived whose answer was lost, it has not.
      void this.#delete().catch(() => {});
      throw this.#lost;
    }
    let uncertain = false;
    try {
      await this.#delete(() => {
        uncertain = true;
      });
    } catch (error) {
      if (!(error instanceof NotLockOwner)) {
        throw error;
      }
      // An earlier try may have released it, and its answer was lost.
      if (!uncertain) {
        throw this.#lose("The lock had been lost when it was released", error);
      }
    }
  }

  async #delete(onUncertain?: (error: EdgelatchError) => void): Promise<void> {
    const { transport, path, token } = this.#terms;
    const call = { method: "DELETE", path, headers: { "Lock-Token": token } };
    const until = now() + transport.usual;
    const retry = onUncertain ? { until, onUncertain } : { until };
    const answer = await transport.sendSafely(() => call, retry);
    if (answer.status !== 204) {
      throw stranger(`DELETE ${path}`, answer);
    }
  }

  #watchExpiry(): void {
    this.#cancelExpiry();
    this.#cancelExpiry = alarm(this.#expiresAt, () => this.#expired());
  }

  #expired(): void {
    this.#lose("The lock expired: it could not be renewed in time", this.#failure);
  }

  #lose(detail: string, cause: unknown): LockLost {
    if (this.#lost === undefined) {
      this.#lost = LockLost.found(detail, cause);
      this.#end();
      this.#onLoss.abort(this.#lost);
    }
    return this.#lost;
  }

  /** No renewal from now on, and no watch over the clock. */
  #end(): void {
    this.#cancelExpiry();
    this.#stop.abort();
  }
}
