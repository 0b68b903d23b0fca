// Clocks, timers and pauses. All in milliseconds; the public interface is in seconds.

/** The longest delay of a timer. A longer one would overflow and fire at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

/** A monotonic clock, which nobody sets. */
export function now(): number {
  return performance.now();
}

/** Calls `fire` when the clock has reached `at`. Returns what cancels it. */
export function alarm(at: number, fire: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const arm = () => {
    const left = at - now();
    // A timer may fire a little early.
    timer = setTimeout(left > 0 ? arm : fire, Math.min(Math.max(left, 0), LONGEST_DELAY));
  };
  arm();
  return () => clearTimeout(timer);
}

/** Pauses. Ends early, without an error, once a signal aborts. */
export function pause(duration: number, ...signals: (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      for (const signal of signals) {
        signal?.removeEventListener("abort", end);
      }
      resolve();
    };
    const cancel = alarm(now() + duration, end);
    for (const signal of signals) {
      signal?.addEventListener("abort", end, { once: true });
      if (signal?.aborted) {
        end();
      }
    }
  });
}

/** The pause before retry number `retry`, from 1: exponential, with jitter, at most a second. */
export function backoff(retry: number): number {
  return Math.min(1000, 50 * 2 ** retry) * (0.5 + Math.random() / 2);
}

/** Aborts `controller` as soon as `signal` aborts. Returns what ends that. */
export function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
  if (signal === undefined) {
    return () => {};
  }
  const abort = () => controller.abort(signal.reason);
  if (signal.aborted) {
    abort();
  }
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
