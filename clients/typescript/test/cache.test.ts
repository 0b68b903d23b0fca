import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  ConnectionFailed,
  EntryContended,
  InvalidRequest,
  LockHeld,
  NotFound,
  PreconditionFailed,
  Problem,
  ReservedKey,
  Unavailable,
  UnexpectedAnswer,
} from "edgelatch";
import { aborted, passed, recorder, rejection, Service } from "./harness.js";

interface Profile {
  name: string;
  tags?: string[];
}

describe("the cache", () => {
  let service: Service;
  before(async () => {
    service = await Service.start();
  });
  after(async () => {
    await service.stop();
  });

  it("stores, returns and deletes a value", async () => {
    const { cache } = service.client().user(1);
    assert.equal(await cache.get("profile"), undefined);
    const stored = await cache.set("profile", { name: "Ada" }, { expire: 60 });
    assert.equal(stored.created, true);
    const entry = await cache.get<Profile>("profile");
    assert.equal(entry?.value.name, "Ada");
    assert.equal(entry?.etag, stored.etag);
    assert.ok(entry.maxAge !== undefined && entry.maxAge >= 59);
    assert.match(entry.cacheStatus ?? "", /hit/);
    assert.equal((await cache.set("profile", null)).created, false);
    assert.equal((await cache.get("profile"))?.value, null);
    await cache.delete("profile");
    assert.equal(await cache.get("profile"), undefined);
  });

  it("says that an entry is the one that the caller has", async () => {
    const { cache } = service.client().user(2);
    const { etag } = await cache.set("a:b", [1, "zwei"]);
    assert.deepEqual(await cache.get("a:b", { ifNoneMatch: etag }), { modified: false, etag });
    const other = await cache.get("a:b", { ifNoneMatch: '"other"' });
    assert.ok(other?.modified);
    assert.deepEqual(other.value, [1, "zwei"]);
  });

  it("writes under a condition", async () => {
    const { cache } = service.client().user(3);
    const first = await cache.set("n", 1, { ifNoneMatch: "*" });
    const refused = await rejection(cache.set("n", 2, { ifNoneMatch: "*" }));
    assert.ok(refused instanceof PreconditionFailed);
    assert.equal(refused.status, 412);
    const second = await cache.set("n", 2, { ifMatch: first.etag });
    assert.ok((await rejection(cache.delete("n", { ifMatch: first.etag }))) instanceof Problem);
    await cache.delete("n", { ifMatch: second.etag });
  });

  it("lets one of two win who write what they have read", async () => {
    const { cache } = service.client().user(4);
    const first = await cache.compareAndSet("n", undefined, 1);
    assert.ok(first);
    assert.equal(await cache.compareAndSet("n", undefined, 2), undefined);
    const both = await Promise.all([
      cache.compareAndSet("n", first.etag, 2),
      cache.compareAndSet("n", first.etag, 3),
    ]);
    assert.equal(both.filter((stored) => stored !== undefined).length, 1);
  });

  it("merges a patch", async () => {
    const { cache } = service.client().user(5);
    assert.ok((await rejection(cache.patch("p", { name: "Ada" }))) instanceof NotFound);
    const { etag } = await cache.set("p", { name: "Ada", tags: ["a"] });
    const merged = await cache.patch<Profile>("p", { tags: null }, { ifMatch: etag });
    assert.deepEqual(merged.value, { name: "Ada" });
    assert.notEqual(merged.etag, etag);
    const refused = await rejection(cache.patch("p", { name: "Eve" }, { ifMatch: etag }));
    assert.ok(refused instanceof PreconditionFailed);
  });

  it("is read through an outage, and does not repeat a conditional write", async () => {
    const { fetch, sent } = recorder((method, _, nth) => method === "PUT" && nth === 1);
    const { cache } = service.client({ fetch, retries: 5 }).user(6);
    const lost = await rejection(cache.set("n", 1, { ifNoneMatch: "*" }));
    assert.ok(lost instanceof ConnectionFailed);
    assert.equal(sent.length, 1);
    await service.redis.kill();
    const reading = cache.get("n");
    await passed(300);
    await service.redis.start();
    assert.equal(await reading, undefined);
    assert.ok(sent.some((request) => request.status === 503));
  });

  it("tells all faults of a request", async () => {
    const { cache } = service.client().user(7);
    const refused = await rejection(cache.set("k y", 1, { expire: 1e9 }));
    assert.ok(refused instanceof InvalidRequest);
    assert.equal(refused.errors.length, 2);
    assert.ok(refused.errors.some((fault) => fault.loc.includes("expire")));
    assert.match(refused.message, /expire/);
  });
});

describe("a refusal", () => {
  let service: Service;
  before(async () => {
    service = await Service.start();
  });
  after(async () => {
    await service.stop();
  });

  it("has its class", async () => {
    const { cache } = service.client().user(1);
    assert.ok((await rejection(cache.set("last-action", 1))) instanceof ReservedKey);
    for (const [key, value, status] of [
      ["k", "x".repeat(2_000_000), 413],
      ["k y", 1, 422],
    ] as const) {
      const refused = await rejection(cache.set(key, value));
      assert.ok(refused instanceof InvalidRequest);
      assert.equal(refused.status, status);
    }
    const invalid = rejection(service.client().user(1).performAction(1, { idempotencyKey: "a b" }));
    const refused = await invalid;
    assert.ok(refused instanceof InvalidRequest);
    assert.equal(refused.slug, "idempotency-key-invalid");
  });

  it("says that others kept changing the entry, and not that somebody has a lock", async () => {
    const told = { type: "urn:edgelatch:entry-contended", detail: "others kept changing it" };
    const headers = { "Content-Type": "application/problem+json", "X-Request-Id": "x" };
    let asked = 0;
    const fetch = async () => {
      asked += 1;
      return new Response(JSON.stringify(told), { status: 423, headers });
    };
    const refused = await rejection(service.client({ fetch }).user(1).cache.patch("k", { a: 1 }));
    assert.ok(refused instanceof EntryContended && !(refused instanceof LockHeld));
    assert.deepEqual([refused.status, refused.slug], [423, "entry-contended"]);
    assert.deepEqual([refused.detail, refused.requestId], ["others kept changing it", "x"]);
    assert.equal(asked, 1);
  });
});

describe("a value that is dear to compute", () => {
  let service: Service;
  before(async () => {
    service = await Service.start();
  });
  after(async () => {
    await service.stop();
  });

  it("is not stored once the caller has cancelled", async () => {
    const { cache } = service.client().user(90);
    const controller = new AbortController();
    const deaf = () => {
      controller.abort("enough");
      return 1;
    };
    const options = { compute: 60, signal: controller.signal };
    assert.equal(await rejection(cache.getOrCompute("deaf", deaf, options)), "enough");
    assert.equal(await cache.get("deaf"), undefined);
    // The task goes to the next.
    assert.equal(await cache.getOrCompute("deaf", () => 2, { timeout: 0 }), 2);
  });

  it("is computed once, however many ask", async () => {
    const { cache } = service.client().user(1);
    let computed = 0;
    const compute = async () => {
      computed += 1;
      await passed(300);
      return { total: 17 };
    };
    const asks = Array.from({ length: 20 }, () =>
      cache.getOrCompute("report", compute, { compute: 10, timeout: 10, expire: 60 }),
    );
    for (const value of await Promise.all(asks)) {
      assert.deepEqual(value, { total: 17 });
    }
    assert.equal(computed, 1);
  });

  it("is computed by the next caller when the function fails", async () => {
    const { cache } = service.client().user(2);
    const failure = new Error("of the function");
    const failing = cache.getOrCompute("report", async () => {
      await passed(200);
      throw failure;
    });
    failing.catch(() => {});
    await passed(50);
    const began = performance.now();
    const next = cache.getOrCompute("report", () => "computed", { timeout: 10 });
    assert.equal(await rejection(failing), failure);
    assert.equal(await next, "computed");
    assert.ok(performance.now() - began < 2000);
  });

  it("is not waited for longer than the caller wants", async () => {
    const { cache } = service.client().user(3);
    const slow = cache.getOrCompute("report", () => passed(1000).then(() => 1));
    await passed(50);
    const refused = await rejection(cache.getOrCompute("report", () => 2, { timeout: 0.2 }));
    assert.ok(refused instanceof LockHeld);
    assert.equal(await slow, 1);
  });

  it("is good for its caller when its time is up, and is not stored", async () => {
    const { cache } = service.client().user(4);
    const value = await cache.getOrCompute(
      "report",
      async (signal) => {
        await aborted(signal);
        await passed(100);
        return "late";
      },
      { compute: 0.2 },
    );
    assert.equal(value, "late");
    assert.equal(await cache.get("report"), undefined);
  });

  it("is computed anew before it expires, and returned if that fails", async () => {
    const { cache } = service.client().user(5);
    await cache.set("report", "old", { expire: 30 });
    const failure = new Error("of the function");
    const told: unknown[] = [];
    const kept = await cache.getOrCompute(
      "report",
      () => {
        throw failure;
      },
      { refresh: 60, onRefreshError: (error) => told.push(error) },
    );
    assert.equal(kept, "old");
    assert.deepEqual(told, [failure]);
    const renewed = await cache.getOrCompute("report", () => "new", { refresh: 60, expire: 90 });
    assert.equal(renewed, "new");
    assert.equal((await cache.get("report"))?.value, "new");
  });

  it("is left to others when the caller cancels", async () => {
    const { cache } = service.client().user(6);
    const controller = new AbortController();
    const computing = cache.getOrCompute(
      "report",
      async (signal) => {
        controller.abort("enough");
        await aborted(signal);
        signal.throwIfAborted();
      },
      { signal: controller.signal },
    );
    assert.equal(await rejection(computing), "enough");
    assert.equal(await cache.getOrCompute("report", () => "next", { timeout: 0 }), "next");
  });

  it("is computed by the next caller if the answer that gives the task cannot be read", async () => {
    const without = (name: string) => (answer: Response) => {
      const headers = new Headers(answer.headers);
      headers.delete(name);
      return new Response(answer.body, { status: answer.status, headers });
    };
    const garbled = ({ status, headers }: Response) => new Response("{", { status, headers });
    for (const [index, [stored, strangely]] of (
      [
        [true, without("ETag")],
        [true, without("X-Request-Id")],
        [true, garbled],
        [false, without("X-Request-Id")],
      ] as const
    ).entries()) {
      for (const loses of [false, true]) {
        const fetch = async (url: string, init: RequestInit) => {
          const answer = await globalThis.fetch(url, init);
          if (loses && init.method === "DELETE") {
            throw new TypeError("the connection broke");
          }
          return answer.headers.has("Compute-Token") ? strangely(answer) : answer;
        };
        const { cache } = service.client().user(9);
        const key = `report-${index}-${loses}`;
        if (stored) {
          await cache.set(key, "old", { expire: 30 });
        }
        const proxied = service.client({ fetch }).user(9).cache;
        const asked = proxied.getOrCompute(key, () => "not called", { compute: 60, refresh: 60 });
        assert.ok((await rejection(asked)) instanceof UnexpectedAnswer);
        const next = await cache.getOrCompute(key, () => "new", { timeout: 0, refresh: 60 });
        assert.equal(next, "new");
      }
    }
  });

  it("is refused when it is no JSON", async () => {
    const { cache } = service.client().user(7);
    const refused = await rejection(cache.getOrCompute("report", () => undefined));
    assert.ok(refused instanceof TypeError);
    assert.equal(await cache.getOrCompute("report", () => "next", { timeout: 0 }), "next");
  });

  it("is not had from a Redis that is down", async () => {
    const { cache } = service.client({ retries: 0 }).user(8);
    await service.redis.kill();
    assert.ok((await rejection(cache.getOrCompute("report", () => 1))) instanceof Unavailable);
    await service.redis.start();
  });
});
