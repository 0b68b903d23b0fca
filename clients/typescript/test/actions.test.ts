import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import {
  ConnectionFailed,
  IdempotencyKeyReused,
  LockHeld,
  NotFound,
  OriginFailed,
  Unavailable,
} from "edgelatch";
import { passed, recorder, rejection, Service } from "./harness.js";
import { Origin } from "./origin.js";

describe("an action", () => {
  let origin: Origin;
  let service: Service;
  before(async () => {
    origin = await Origin.start();
    service = await Service.start({ origin: origin.url });
  });
  after(async () => {
    await service?.stop();
    await origin.stop();
  });
  beforeEach(() => {
    origin.asked.length = 0;
    origin.inputs.length = 0;
    origin.status = 200;
    origin.takes = 0;
  });

  it("runs with its input and returns its result", async () => {
    const user = service.client().user(1);
    const done = await user.performAction<{ number: number }>({ amount: 3 }, { timeout: 1 });
    assert.equal(done.status, "success");
    assert.equal(done.result?.number, 1);
    assert.equal(done.replayed, false);
    assert.ok(done.fencingToken && done.lockWait !== undefined);
    assert.deepEqual(origin.inputs, [{ amount: 3 }]);
    const last = await user.cache.get<{ status: string }>("last-action");
    assert.equal(last?.value.status, "success");
  });

  it("runs without an input", async () => {
    const done = await service.client().user(2).attemptAction();
    assert.equal(done.status, "success");
    assert.deepEqual(origin.inputs, [undefined]);
    // Each call has an idempotency key of its own.
    const again = await service.client().user(2).attemptAction();
    assert.ok(again.status === "success" && !again.replayed);
  });

  it("runs once when its answer was lost", async () => {
    const { fetch, sent } = recorder((method, _, nth) => method === "POST" && nth === 1);
    const user = service.client({ fetch }).user(3);
    const done = await user.performAction("once");
    assert.equal(done.replayed, true);
    assert.equal(origin.asked.length, 1);
    const keys = sent.map((request) => request.headers.get("Idempotency-Key"));
    assert.equal(keys.length, 2);
    assert.ok(keys[0] && keys[0] === keys[1]);
  });

  it("is not said to have failed while an earlier request for it may run", async () => {
    const user = service.client().user(4);
    const { fetch, sent } = recorder((method, _, nth) => method === "POST" && nth === 1);
    const unheard = service.client({ fetch }).user(4);
    await user.lock({ expire: 60 }, async () => {
      assert.ok((await rejection(unheard.attemptAction())) instanceof ConnectionFailed);
      assert.ok(sent.length > 1);
      const other = recorder((method, _, nth) => method === "POST" && nth === 1);
      const performing = service.client({ fetch: other.fetch }).user(4);
      const told = await rejection(performing.performAction(undefined, { timeout: 0 }));
      assert.ok(told instanceof ConnectionFailed);
      assert.ok(other.sent.length > 1);
    });
    const busy = await user.lock({ expire: 60 }, () => user.attemptAction());
    assert.equal(busy.status, "failed");
  });

  it("is replayed for its idempotency key, and refused for another input", async () => {
    const user = service.client().user(5);
    const first = await user.performAction(1, { idempotencyKey: "order-1" });
    const again = await user.performAction(1, { idempotencyKey: "order-1" });
    assert.deepEqual(again.result, first.result);
    assert.equal(again.replayed, true);
    const refused = await rejection(user.performAction(2, { idempotencyKey: "order-1" }));
    assert.ok(refused instanceof IdempotencyKeyReused);
  });

  it("is not sent again when the origin failed", async () => {
    origin.status = 500;
    const refused = await rejection(service.client().user(6).performAction(1));
    assert.ok(refused instanceof OriginFailed);
    assert.equal(refused.status, 502);
    assert.equal(origin.asked.length, 1);
  });

  it("never overlaps with another one of its user", async () => {
    origin.takes = 200;
    const user = service.client().user(7);
    const refused = await Promise.all([
      user.performAction(1, { timeout: 5 }),
      passed(50).then(() => rejection(user.performAction(2, { timeout: 0 }))),
    ]);
    assert.ok(refused[1] instanceof LockHeld);
    assert.deepEqual(origin.inputs, [1]);
  });

  it("gets through an outage of Redis", async () => {
    const user = service.client().user(8);
    await service.redis.kill();
    const performing = user.performAction(1);
    await passed(300);
    await service.redis.start();
    assert.equal((await performing).status, "success");
    assert.equal(origin.asked.length, 1);
  });

  it("is told to be unknown in an outage that lasts", async () => {
    await service.redis.kill();
    const told = await rejection(service.client().user(9).performAction(1));
    await service.redis.start();
    assert.ok(told instanceof Unavailable);
    assert.equal(told.slug, "redis-unavailable");
  });

  it("stops being waited for when the caller cancels", async () => {
    origin.takes = 2000;
    const began = performance.now();
    const signal = AbortSignal.timeout(200);
    const told = await rejection(service.client().user(10).performAction(1, { signal }));
    assert.equal(told, signal.reason);
    assert.ok(performance.now() - began < 1000);
  });
});

describe("a user of the origin", () => {
  let origin: Origin;
  let service: Service;
  before(async () => {
    origin = await Origin.start();
    service = await Service.start({ origin: origin.url });
  });
  after(async () => {
    await service?.stop();
    await origin.stop();
  });

  it("is read through the cache", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ fetch }).user(1);
    const first = await user.get<{ number: number }>({ expire: 60 });
    const second = await user.get<{ number: number }>();
    assert.deepEqual(second.value, first.value);
    assert.match(second.cacheStatus ?? "", /hit/);
    const same = await user.get({ ifNoneMatch: first.etag });
    assert.equal(same.modified, false);
    const fresh = await user.get<{ number: number }>({ noCache: true, noStore: true });
    assert.equal(fresh.value.number, first.value.number + 1);
    assert.deepEqual(origin.asked, ["GET /users/1", "GET /users/1"]);
    assert.deepEqual((await user.get()).value, first.value);
    // Otherwise browsers send `no-cache` of their own accord.
    for (const request of sent) {
      assert.match(request.headers.get("Cache-Control") ?? "", /^no-transform/);
    }
  });

  it("is read again after a lost answer, from the cache", async () => {
    origin.asked.length = 0;
    const { fetch, sent } = recorder((method, _, nth) => method === "GET" && nth === 1);
    const read = await service.client({ fetch }).user(2).get<{ number: number }>({ expire: 60 });
    assert.equal(read.value.number, 1);
    assert.deepEqual(
      sent.map((request) => request.status),
      [200, 200],
    );
    assert.deepEqual(origin.asked, ["GET /users/2"]);
  });

  it("fails with its origin", async () => {
    origin.status = 500;
    const failed = await rejection(service.client().user(3).get());
    origin.status = 200;
    assert.ok(failed instanceof OriginFailed);
    assert.equal(failed.slug, "origin-failed");
  });

  it("is not there without an origin", async () => {
    const bare = await Service.start();
    const refused = await rejection(bare.client().user(1).get());
    await bare.stop();
    assert.ok(refused instanceof NotFound);
    assert.equal(refused.slug, "no-origin");
  });
});
