import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  ConnectionFailed,
  LockHeld,
  LockLost,
  Problem,
  Unavailable,
  UnexpectedAnswer,
} from "edgelatch";
import { aborted, passed, recorder, rejection, Service, until } from "./harness.js";

describe("a lock", () => {
  let service: Service;
  before(async () => {
    service = await Service.start();
  });
  after(async () => {
    await service.stop();
  });

  const key = (user: number, name: string) => `user:${user}:lock:${name}`;
  const exists = async (user: number, name: string) =>
    (await service.redis.command(`EXISTS ${key(user, name)}`)) === ":1";

  it("is held while the body runs, and given back", async () => {
    const user = service.client().user(1);
    const result = await user.lock("nightly", { timeout: 1, expire: 60 }, async (lease, signal) => {
      assert.ok(await exists(1, "nightly"));
      assert.ok(lease.fencingToken > 0);
      assert.ok(lease.expiresIn > 59 && lease.expiresIn <= 60);
      assert.equal(signal.aborted, false);
      return "done";
    });
    assert.equal(result, "done");
    assert.deepEqual((await user.lock("nightly").status()).held, false);
  });

  it("without a name is the lock that actions take", async () => {
    const user = service.client().user(2);
    await user.lock({ expire: 30 }, async () => {
      assert.deepEqual(await user.attemptAction(), {
        status: "failed",
        detail: "Could not acquire lock",
        retryAfter: 30,
      });
    });
    assert.equal((await user.attemptAction()).status, "success");
  });

  it("lets nobody else in, who is told so", async () => {
    const user = service.client().user(3);
    await user.lock("one", { expire: 30 }, async () => {
      const refused = await rejection(user.lock("one", { timeout: 0.2 }, () => "not run"));
      assert.ok(refused instanceof LockHeld);
      assert.equal(refused.status, 423);
      assert.equal(refused.slug, "lock-held");
      assert.equal(refused.detail, "Could not acquire lock");
      assert.ok(refused.retryAfter !== undefined && refused.retryAfter > 20);
      assert.match(refused.requestId ?? "", /^.+$/);
      const state = await user.lock("one").status();
      assert.ok(state.held && state.expiresIn !== null && state.expiresIn > 20);
    });
  });

  it("is waited for, and then held for its whole time to live", async () => {
    const user = service.client().user(4);
    const first = await user.lock("queue", { expire: 30 }).acquire();
    const second = user.lock("queue", { timeout: 20, expire: 0.6 }).acquire();
    // Longer than the time to live of the second lease.
    await passed(1000);
    await first.release();
    const lease = await second;
    assert.ok(lease.fencingToken > first.fencingToken);
    assert.ok(lease.expiresIn > 0.3 && lease.expiresIn <= 0.6);
    await lease.release();
  });

  it("outlives its time to live while its body runs", async () => {
    const user = service.client().user(5);
    await user.lock("long", { expire: 0.6 }, async (lease, signal) => {
      const { fencingToken } = lease;
      await passed(2000);
      const state = await user.lock("long").status();
      assert.ok(state.held && state.fencingToken === fencingToken);
      assert.equal(signal.aborted, false);
    });
  });

  it("is given back when the body fails, whose error is told", async () => {
    const failure = new Error("of the body");
    const user = service.client().user(6);
    const told = await rejection(
      user.lock("failing", { expire: 30 }, () => {
        throw failure;
      }),
    );
    assert.equal(told, failure);
    assert.equal(await exists(6, "failing"), false);
  });

  it("stops its body within a second of the renewal that found it lost", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ fetch }).user(7);
    let stopped = 0;
    const lost = await rejection(
      user.lock("taken", { expire: 1.5 }, async (_, signal) => {
        await service.redis.command(`DEL ${key(7, "taken")}`);
        assert.ok((await aborted(signal)) instanceof LockLost);
        stopped = performance.now();
        signal.throwIfAborted();
      }),
    );
    const told = performance.now();
    assert.ok(lost instanceof LockLost);
    assert.equal(lost.status, 409);
    assert.equal(lost.slug, "lock-lost");
    assert.equal(lost.bodyRunning, false);
    const renewal = sent.find((request) => request.method === "PUT" && request.status === 409);
    assert.ok(renewal);
    const [toStop, toTell] = [stopped - renewal.answered, told - renewal.answered];
    process.stdout.write(`body stopped ${toStop.toFixed(1)} ms after the renewal that found out\n`);
    assert.ok(toStop >= 0 && toStop < 1000 && toTell < 1000);
  });

  it("tells within a second that a body goes on which does not stop", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ fetch }).user(8);
    let end = () => {};
    const deaf = new Promise<string>((resolve) => {
      end = () => resolve("late");
    });
    const lost = await rejection(
      user.lock("deaf", { expire: 1.5 }, async () => {
        await service.redis.command(`DEL ${key(8, "deaf")}`);
        return await deaf;
      }),
    );
    const told = performance.now();
    assert.ok(lost instanceof LockLost);
    assert.equal(lost.bodyRunning, true);
    const renewal = sent.find((request) => request.status === 409);
    assert.ok(renewal && told - renewal.answered < 1000);
    end();
    assert.equal(await lost.body, "late");
  });

  it("that another holder took is not given back by us, and the loss is told", async () => {
    const user = service.client().user(9);
    const lost = await rejection(
      user.lock("stolen", { expire: 30 }, async () => {
        await service.redis.command(`SET ${key(9, "stolen")} somebody`);
        return "ended before any renewal";
      }),
    );
    assert.ok(lost instanceof LockLost);
    assert.equal(await lost.body, "ended before any renewal");
    assert.ok(await exists(9, "stolen"));
  });

  it("is had by a retry whose first answer was lost, under the same token", async () => {
    const { fetch, sent } = recorder((method, _, nth) => method === "POST" && nth === 1);
    const lease = await service
      .client({ fetch })
      .user(10)
      .lock("retried", { timeout: 5, expire: 30 })
      .acquire();
    const posts = sent.filter((request) => request.method === "POST");
    assert.deepEqual(
      posts.map((request) => request.status),
      [201, 200],
    );
    assert.equal(posts[0]?.headers.get("Lock-Token"), posts[1]?.headers.get("Lock-Token"));
    await lease.release();
    assert.equal(await exists(10, "retried"), false);
  });

  it("is waited for although the service cuts waits short", async () => {
    const limited = await Service.start({ request_limit: "4" });
    try {
      const user = limited.client().user(1);
      const holder = await user.lock("limited", { expire: 60 }).acquire();
      const waiting = user.lock("limited", { timeout: 61, expire: 30 }).acquire();
      // Longer than the service waits in one request.
      await passed(5000);
      await holder.release();
      await (await waiting).release();
      const second = await user.lock("limited", { expire: 60 }).acquire();
      const controller = new AbortController();
      const options = { timeout: 61, expire: 30, signal: controller.signal };
      const cancelled = user.lock("limited", options).acquire();
      cancelled.catch(() => {});
      await until("it waits", async () => (await user.lock("limited").status()).waiting === 1);
      controller.abort("enough");
      assert.equal(await rejection(cancelled), "enough");
      assert.equal((await user.lock("limited").status()).waiting, 0);
      await second.release();
    } finally {
      await limited.stop();
    }
  });

  it("is given back when no answer arrives in time", async () => {
    const { fetch } = recorder((method) => method === "POST");
    const lock = service.client({ fetch }).user(11).lock("unheard", { timeout: 0.5, expire: 30 });
    assert.ok((await rejection(lock.acquire())) instanceof ConnectionFailed);
    assert.equal(await exists(11, "unheard"), false);
  });

  it("is released although the answer to the release was lost", async () => {
    const { fetch } = recorder((method, _, nth) => method === "DELETE" && nth === 1);
    const user = service.client({ fetch }).user(12);
    assert.equal(await user.lock("released", { expire: 30 }, () => 1), 1);
    assert.equal(await exists(12, "released"), false);
  });

  it("is not waited for any longer once the caller cancels", async () => {
    const user = service.client().user(13);
    const holder = await user.lock("cancelled", { expire: 30 }).acquire();
    const controller = new AbortController();
    const options = { timeout: 30, expire: 30, signal: controller.signal };
    const waiting = user.lock("cancelled", options, () => "not run");
    waiting.catch(() => {});
    const lock = user.lock("cancelled");
    await until("it waits", async () => (await lock.status()).waiting === 1);
    const began = performance.now();
    controller.abort("enough");
    assert.equal(await rejection(waiting), "enough");
    assert.ok(performance.now() - began < 1000);
    assert.equal((await lock.status()).waiting, 0);
    await holder.release();
    await user.lock("cancelled", { timeout: 0 }, () => {});
  });

  it("that was had as the caller cancelled is given back", async () => {
    const user = service.client().user(14);
    for (let delay = 0; delay < 10; delay += 1) {
      const controller = new AbortController();
      const options = { timeout: 5, expire: 30, signal: controller.signal };
      const acquiring = user.lock("raced", options).acquire();
      setTimeout(() => controller.abort("enough"), delay);
      const lease = await acquiring.catch((error: unknown) => assert.equal(error, "enough"));
      await lease?.release();
      assert.equal(await exists(14, "raced"), false);
    }
  });

  it("is kept until the body has ended when the caller cancels", async () => {
    const controller = new AbortController();
    const user = service.client().user(15);
    const options = { expire: 30, signal: controller.signal };
    const told = await rejection(
      user.lock("stopping", options, async (_, signal) => {
        controller.abort("enough");
        assert.equal(await aborted(signal), "enough");
        await passed(50);
        assert.ok(await exists(15, "stopping"));
        signal.throwIfAborted();
      }),
    );
    assert.equal(told, "enough");
    assert.equal(await exists(15, "stopping"), false);
  });

  it("tells that it was cancelled although its body did not look", async () => {
    const user = service.client().user(20);
    const controller = new AbortController();
    const options = { expire: 30, signal: controller.signal };
    const told = await rejection(
      user.lock("ignored", options, () => {
        controller.abort("enough");
        return "done";
      }),
    );
    assert.equal(told, "enough");
    assert.equal(await exists(20, "ignored"), false);
    const failure = new Error("of the body");
    const failed = user.lock("ignored", { signal: controller.signal }, () => "not run");
    assert.equal(await rejection(failed), "enough");
    const late = new AbortController();
    const failing = user.lock("ignored", { signal: late.signal }, () => {
      late.abort("enough");
      throw failure;
    });
    assert.equal(await rejection(failing), failure);
  });

  it("ends with an `await using`", async () => {
    const user = service.client().user(16);
    {
      await using lease = await user.lock("scoped", { expire: 30 }).acquire();
      await lease.renew();
      lease.throwIfLost();
      assert.ok(await exists(16, "scoped"));
    }
    assert.equal(await exists(16, "scoped"), false);
  });

  it("that was lost unnoticed is told at the end of an `await using`", async () => {
    const lock = service.client().user(19).lock("scoped", { expire: 30 });
    const unnoticed = async () => {
      await using lease = await lock.acquire();
      await service.redis.command(`DEL ${key(19, "scoped")}`);
      lease.throwIfLost();
    };
    assert.ok((await rejection(unnoticed())) instanceof LockLost);
    const failure = new Error("of the block");
    const noticed = async () => {
      await using lease = await lock.acquire();
      await service.redis.command(`DEL ${key(19, "scoped")}`);
      await rejection(lease.renew());
      throw failure;
    };
    assert.equal(await rejection(noticed()), failure);
  });

  it("that was lost is told by `renew`, `release` and `throwIfLost`", async () => {
    const lease = await service.client().user(17).lock("gone", { expire: 30 }).acquire();
    await service.redis.command(`DEL ${key(17, "gone")}`);
    const lost = await rejection(lease.renew());
    assert.ok(lost instanceof LockLost);
    assert.equal(lease.signal.reason, lost);
    assert.equal(lease.expiresIn, 0);
    assert.throws(() => lease.throwIfLost(), lost);
    assert.equal(await rejection(lease.release()), lost);
  });

  it("counts as lost when its time has passed while this thread was blocked", async () => {
    const lease = await service.client().user(18).lock("blocked", { expire: 0.3 }).acquire();
    const end = performance.now() + 400;
    while (performance.now() < end) {}
    assert.throws(() => lease.throwIfLost(), LockLost);
    assert.ok((await rejection(lease.release())) instanceof LockLost);
  });
});

describe("a lock behind a proxy", () => {
  let service: Service;
  before(async () => {
    service = await Service.start();
  });
  after(async () => {
    await service.stop();
  });

  /** Answers the first `times` requests of this method itself, after passing them on. */
  const proxied = (method: string, times: number, answer: () => Response) => {
    let seen = 0;
    return async (url: string, init: RequestInit) => {
      const real = await fetch(url, init);
      if (init.method !== method || seen >= times) {
        return real;
      }
      await real.arrayBuffer();
      seen += 1;
      return answer();
    };
  };

  it("is given back when the answer is not one of the service", async () => {
    for (const [index, text] of ["<h1>Hello</h1>", "[]", "null", "{}"].entries()) {
      const answer = () => new Response(text, { status: 201 });
      const client = service.client({ fetch: proxied("POST", 1, answer) });
      const lock = client.user(1).lock(`odd-${index}`, { expire: 30 });
      assert.ok((await rejection(lock.acquire())) instanceof UnexpectedAnswer);
      assert.equal((await lock.status()).held, false);
    }
    const blank = service.client({ fetch: async () => new Response("[]") });
    assert.ok((await rejection(blank.user(1).lock().status())) instanceof UnexpectedAnswer);
  });

  it("is given back unless the service itself has refused it", async () => {
    const text = JSON.stringify({ type: "urn:edgelatch:internal", status: 500 });
    const headers = { "Content-Type": "application/problem+json" };
    const answers = [502, 504, 429, 500, 503, 423].map((status) => new Response("", { status }));
    for (const answer of [...answers, new Response(text, { status: 500, headers })]) {
      const client = service.client({ fetch: proxied("POST", 1, () => answer) });
      const lock = client.user(12).lock(`refused-${answer.status}`, { expire: 60 });
      const told = await rejection(lock.acquire());
      assert.ok(told instanceof UnexpectedAnswer || told instanceof Problem);
      assert.equal(told.status, answer.status);
      assert.equal((await lock.status()).held, false);
    }
  });

  it("is released by nothing but a 204 of the service", async () => {
    for (const status of [200, 202, 204, 302]) {
      const headers: HeadersInit = status === 204 ? {} : { "X-Request-Id": "page" };
      const page = () => new Response(status === 204 ? null : "<html>", { status, headers });
      const client = service.client({ fetch: proxied("DELETE", 1, page) });
      const lease = await client.user(13).lock("kept", { expire: 60 }).acquire();
      const told = await rejection(lease.release());
      assert.ok(told instanceof UnexpectedAnswer);
      assert.equal(told.status, status);
    }
  });

  it("survives renewals that are refused or answered by the proxy for a while", async () => {
    const answers = [401, 429, 502, 200, 404];
    const fetch = proxied("PUT", answers.length, () => {
      return new Response("{}", { status: answers.shift() ?? 500 });
    });
    const user = service.client({ fetch }).user(2);
    await user.lock("refused", { expire: 6 }, async (lease, signal) => {
      await until("all were refused", () => answers.length === 0);
      const before = lease.expiresIn;
      await until("it is renewed", () => lease.expiresIn > before + 0.5);
      assert.equal(signal.aborted, false);
    });
  });

  it("counts as lost if a renewal finds another acquisition of it", async () => {
    const again = JSON.stringify({ token: "t", fencing_token: 10 ** 9, expires_in: 30 });
    const headers = { "X-Request-Id": "again" };
    const fetch = proxied("PUT", 1, () => new Response(again, { status: 200, headers }));
    const lease = await service.client({ fetch }).user(3).lock("again", { expire: 30 }).acquire();
    assert.ok((await rejection(lease.renew())) instanceof LockLost);
    assert.ok(lease.signal.aborted);
  });

  it("is renewed at once if the answer to its acquisition was long on its way", async () => {
    const { fetch, sent } = recorder();
    const slow = async (url: string, init: RequestInit) => {
      const response = await fetch(url, init);
      if (init.method === "POST") {
        await passed(1500);
      }
      return response;
    };
    const lease = await service.client({ fetch: slow }).user(7).lock({ expire: 3 }).acquire();
    assert.deepEqual(
      sent.map((request) => request.method),
      ["POST", "PUT"],
    );
    assert.ok(lease.expiresIn <= 3);
    await lease.release();
  });

  /** Delays the answers to acquisitions, and changes them. */
  const late = (delay: number, change: (answer: Response) => Response = (answer) => answer) => {
    const { fetch, sent } = recorder();
    const slow = async (url: string, init: RequestInit) => {
      const response = await fetch(url, init);
      if (init.method !== "POST") {
        return response;
      }
      await passed(delay);
      return change(response);
    };
    return { fetch: slow, sent };
  };

  /** In seconds. A busy machine is late. The delay is 1.1. */
  const TOLERANCE = 0.1;

  it("is held for no longer than the service says, however late its answer comes", async () => {
    const { fetch } = late(1100);
    for (const timeout of [undefined, 5]) {
      const lock = service.client({ fetch }).user(8).lock("dated", { timeout, expire: 30 });
      const lease = await lock.acquire();
      const state = await lock.status();
      const left = lease.expiresIn;
      assert.ok(state.held && state.expiresIn !== null);
      assert.ok(left > 0 && left <= state.expiresIn + TOLERANCE, `${left}, ${state.expiresIn}`);
      await lease.release();
    }
  });

  it("is held for no longer than that after a wait", async () => {
    const other = service.client().user(9).lock("waited", { expire: 30 });
    const { fetch } = late(1100);
    const lock = service.client({ fetch }).user(9).lock("waited", { timeout: 20, expire: 30 });
    const holder = await other.acquire();
    const acquiring = lock.acquire();
    await until("it waits", async () => (await other.status()).waiting === 1);
    await holder.release();
    const lease = await acquiring;
    const state = await lock.status();
    const left = lease.expiresIn;
    assert.ok(state.held && state.expiresIn !== null);
    assert.ok(left > 0 && left <= state.expiresIn + TOLERANCE, `${left}, ${state.expiresIn}`);
    await lease.release();
  });

  it("is renewed before its body runs if nobody tells how long it waited", async () => {
    const { fetch, sent } = late(2500, (answer) => {
      const headers = new Headers(answer.headers);
      headers.delete("Server-Timing");
      return new Response(answer.body, { status: answer.status, headers });
    });
    const lock = service.client({ fetch }).user(10).lock("untold", { timeout: 20, expire: 7 });
    const lease = await lock.acquire();
    assert.deepEqual(
      sent.map(({ method }) => method),
      ["POST", "PUT"],
    );
    await lease.release();
  });

  it("is lost before its body runs if it has ended on the way of its answer", async () => {
    const { fetch } = late(1100);
    let ran = false;
    const lock = service.client({ fetch }).user(11).lock("over", { expire: 0.3 });
    const told = await rejection(
      lock.run(() => {
        ran = true;
      }),
    );
    assert.ok(told instanceof LockLost);
    assert.equal(ran, false);
  });

  it("is lost before its body runs if it has ended on the way of what confirms it", async () => {
    const delays = [40, 80];
    const slow = async (url: string, init: RequestInit) => {
      const response = await fetch(url, init);
      await passed(delays.shift() ?? 0);
      return response;
    };
    let ran = false;
    const user = service.client({ fetch: slow }).user(14);
    const body = () => {
      ran = true;
    };
    assert.ok((await rejection(user.lock("late", { expire: 0.06 }, body))) instanceof LockLost);
    assert.equal(ran, false);
  });

  it("may be released in its body, once", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ fetch }).user(4);
    await user.lock("early", { expire: 0.6 }, async (lease, signal) => {
      await lease.release();
      assert.equal(lease.expiresIn, 0);
      assert.equal((await user.lock("early").status()).held, false);
      await passed(500);
      lease.throwIfLost();
      assert.equal(signal.aborted, false);
      assert.ok((await rejection(lease.renew())) instanceof LockLost);
    });
    const kinds = sent.map((request) => request.method);
    assert.deepEqual(kinds, ["POST", "DELETE", "GET"]);
  });

  it("is not asked for when the caller has cancelled before", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ fetch }).user(5);
    const signal = AbortSignal.abort("before");
    const { cache } = user;
    for (const call of [
      () => user.lock({ signal }).acquire(),
      () => user.lock({ signal }, () => "not run"),
      () => user.lock().status({ signal }),
      () => user.lock().watch({ wait: 1, signal }),
      () => user.lock().forceRelease({ signal }),
      () => user.performAction(1, { signal }),
      () => user.attemptAction(1, { signal }),
      () => user.get({ signal }),
      () => cache.get("k", { signal }),
      () => cache.set("k", 1, { signal }),
      () => cache.patch("k", {}, { signal }),
      () => cache.delete("k", { signal }),
      () => cache.compareAndSet("k", undefined, 1, { signal }),
      () => cache.getOrCompute("k", () => 1, { signal }),
    ]) {
      assert.equal(await rejection(call() as Promise<unknown>), "before");
    }
    assert.deepEqual(sent, []);
  });

  it("that was renewed unheard is given back when it counts as lost", async () => {
    const { fetch } = recorder((method) => method === "PUT");
    const lock = service.client({ fetch }).user(6).lock("unheard", { expire: 3 });
    const lease = await lock.acquire();
    await aborted(lease.signal);
    const state = await lock.status();
    assert.ok(state.held && state.expiresIn !== null);
    const left = state.expiresIn * 1000;
    const began = performance.now();
    assert.ok((await rejection(lease.release())) instanceof LockLost);
    await until("it is free", async () => !(await lock.status()).held);
    assert.ok(left > 1000 && performance.now() - began < left);
  });
});

describe("a lock in an outage", () => {
  let service: Service;
  before(async () => {
    service = await Service.start();
  });
  after(async () => {
    await service.stop();
  });

  it("survives a Redis that is paused for less than its time to live", async () => {
    const user = service.client().user(1);
    await user.lock("kept", { expire: 6 }, async (lease, signal) => {
      await service.redis.pause();
      await passed(3000);
      service.redis.continue();
      const before = lease.expiresIn;
      await until("it is renewed", () => lease.expiresIn > before + 1);
      assert.equal(signal.aborted, false);
    });
  });

  it("is lost by our own clock while Redis is paused", async () => {
    const user = service.client().user(2);
    const began = performance.now();
    const lost = await rejection(
      user.lock("paused", { expire: 1.5 }, async (_, signal) => {
        await service.redis.pause();
        await aborted(signal);
      }),
    );
    const elapsed = performance.now() - began;
    service.redis.continue();
    assert.ok(lost instanceof LockLost);
    assert.ok(lost.cause instanceof Unavailable || lost.cause instanceof ConnectionFailed);
    assert.ok(elapsed > 1400 && elapsed < 3500, `${elapsed} ms`);
    await until("the lock is free", async () => !(await user.lock("paused").status()).held);
  });

  it("is lost by our own clock while the service is paused", async () => {
    const user = service.client().user(3);
    const lost = await rejection(
      user.lock("silent", { expire: 1.5 }, async (_, signal) => {
        await service.pause();
        await aborted(signal);
      }),
    );
    service.continue();
    assert.ok(lost instanceof LockLost);
  });

  it("is lost with a Redis that was killed, and had again from the next one", async () => {
    const user = service.client().user(4);
    const lost = await rejection(
      user.lock("killed", { expire: 3 }, async (_, signal) => {
        await service.redis.kill();
        await service.redis.start();
        await aborted(signal);
      }),
    );
    assert.ok(lost instanceof LockLost);
    assert.equal(await user.lock("killed", { timeout: 5 }, () => "again"), "again");
  });

  it("that cannot be given back does not hide the error of the body", async () => {
    const failure = new Error("of the body");
    const user = service.client().user(5);
    const told = await rejection(
      user.lock("masked", { expire: 30 }, async () => {
        await service.redis.kill();
        throw failure;
      }),
    );
    await service.redis.start();
    assert.equal(told, failure);
  });

  it("is waited for through an outage, within the time to wait", async () => {
    const user = service.client().user(6);
    await service.redis.kill();
    const short = await rejection(user.lock("outage", { timeout: 0.2 }).acquire());
    assert.ok(short instanceof Unavailable);
    assert.equal(short.status, 503);
    const { fetch, sent } = recorder();
    const patient = service.client({ fetch }).user(6);
    const acquiring = patient.lock("outage", { timeout: 20, expire: 30 }).acquire();
    await passed(500);
    await service.redis.start();
    const lease = await acquiring;
    await lease.release();
    assert.ok(sent.length < 20, `${sent.length} requests`);
  });

  it("that cannot be given back does not hide what the body returned", async () => {
    const user = service.client().user(8);
    const work = async () => {
      await service.redis.kill();
      return "done";
    };
    assert.equal(await user.lock("done", { expire: 30 }, work), "done");
    await service.redis.start();
  });

  it("that an outage acquired is given back", async () => {
    const lock = service.client().user(9).lock("late", { expire: 60 });
    // Redis knows the script from now on.
    await (await lock.acquire()).release();
    await service.redis.pause();
    assert.ok((await rejection(lock.acquire())) instanceof Unavailable);
    service.redis.continue();
    // Redis carries out the acquisition now that was told 503.
    const began = performance.now();
    await passed(500);
    await until(
      "it is free",
      async () => !(await lock.status().catch(() => ({ held: true }))).held,
    );
    await passed(500);
    assert.equal((await lock.status()).held, false);
    assert.ok(performance.now() - began < 15_000);
  });

  it("is given back if it is acquired after its release", async () => {
    let late: RequestInit | undefined;
    let delivered = false;
    const overtaken = async (url: string, init: RequestInit) => {
      if (init.method === "POST") {
        late = init;
        const problem = JSON.stringify({ type: "urn:edgelatch:redis-timeout", status: 503 });
        const headers = { "Content-Type": "application/problem+json" };
        return new Response(problem, { status: 503, headers });
      }
      const response = await fetch(url, init);
      if (init.method === "DELETE" && late !== undefined && !delivered) {
        delivered = true;
        const { signal: _, ...again } = late;
        assert.equal((await fetch(`${url}?expire=60`, again)).status, 201);
      }
      return response;
    };
    const lock = service.client({ fetch: overtaken }).user(10).lock("overtaken", { expire: 60 });
    assert.ok((await rejection(lock.acquire())) instanceof Unavailable);
    assert.ok(delivered);
    await until("it is given back", async () => !(await lock.status()).held);
  });

  it("is cancelled in bounded time while the service is paused", async () => {
    const controller = new AbortController();
    const options = { timeout: 30, signal: controller.signal };
    await service.pause();
    const acquiring = service.client().user(7).lock("stuck", options).acquire();
    acquiring.catch(() => {});
    await passed(100);
    const began = performance.now();
    controller.abort("enough");
    assert.equal(await rejection(acquiring), "enough");
    service.continue();
    assert.ok(performance.now() - began < 3000);
  });
});
