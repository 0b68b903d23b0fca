// Gives back a lock that may have been acquired by a request that failed or was cancelled.

import { Problem } from "./errors.js";
import { backoff, now, pause } from "./time.js";
import type { Transport } from "./transport.js";

/** How long it is tried, in ms. A lock that lives for less has expired by then. */
const LIMIT = 10_000;

/** How long one release may take, in ms. */
const RELEASE_LIMIT = 2500;

/**
 * When Redis has carried out all that came before a release, in ms: `redis_timeout`, which is a
 * second by default, and another second.
 */
const SETTLED = 2000;

/** The lock, and the token under which it may be held. */
export interface Doubtful {
  readonly transport: Transport;
  readonly path: string;
  readonly token: string;
  /** In seconds. */
  readonly expire: number | undefined;
}

/** Releases it once. Returns whether it is known that we do not hold it. */
export async function releaseOnce(lock: Doubtful, limit = RELEASE_LIMIT): Promise<boolean> {
  const call = {
    method: "DELETE",
    path: lock.path,
    headers: { "Lock-Token": lock.token },
    limit: Math.max(1, Math.min(limit, RELEASE_LIMIT)),
  };
  try {
    return (await lock.transport.send(call)).status === 204;
  } catch (error) {
    return error instanceof Problem && error.status < 500;
  }
}

/**
 * Releases it until there is an answer, and once more when that is settled: an acquisition that was
 * told 503 may reach Redis after the release, on another connection. `known`: whether the release
 * before had an answer.
 */
export async function giveBack(lock: Doubtful, known: boolean): Promise<void> {
  const until = now() + Math.min((lock.expire ?? Number.POSITIVE_INFINITY) * 1000, LIMIT);
  let last = known;
  let answered = known;
  for (let tried = 1; ; tried += 1) {
    const wait = last ? SETTLED : backoff(tried);
    if (now() + wait >= until) {
      return;
    }
    await pause(wait);
    last = await releaseOnce(lock);
    if (last) {
      if (answered) {
        return;
      }
      answered = true;
    }
  }
}
