import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  ConnectionFailed,
  type Fetch,
  Forbidden,
  LockHeld,
  LockLost,
  UnexpectedAnswer,
} from "edgelatch";
import { recorder, rejection, Service } from "./harness.js";

const TOKEN = "secret-token-of-the-tests";
const ADMIN = "admin-token-of-the-tests-";

describe("whoever operates the locks", () => {
  let service: Service;
  before(async () => {
    service = await Service.start({ api_token: TOKEN, admin_token: ADMIN });
  });
  after(async () => {
    await service.stop();
  });

  it("takes a lock from its holder with the admin token alone", async () => {
    const holder = service.client({ token: TOKEN }).user(2);
    const lease = await holder.lock("stuck", { expire: 60, owner: "run 17 on a" }).acquire();
    assert.ok((await rejection(holder.lock("stuck").forceRelease())) instanceof Forbidden);
    const admin = service.client({ token: TOKEN, adminToken: ADMIN }).user(2);
    await admin.lock("stuck").forceRelease();
    assert.equal((await holder.lock("stuck").status()).held, false);
    assert.ok((await rejection(lease.release())) instanceof LockLost);
  });

  it("sends a break once, whatever becomes of its answer", async () => {
    const holder = service.client({ token: TOKEN }).user(5);
    const lease = await holder.lock("once", { expire: 60 }).acquire();
    const lossy = recorder((method) => method === "DELETE");
    const sent: string[] = [];
    const unavailable: Fetch = async (_url, init) => {
      sent.push(init.method ?? "GET");
      return new Response("", { status: 503, headers: { "Retry-After": "0" } });
    };
    const options = { token: TOKEN, adminToken: ADMIN, retries: 5 };
    const lost = service.client({ ...options, fetch: lossy.fetch }).user(5);
    assert.ok((await rejection(lost.lock("once").forceRelease())) instanceof ConnectionFailed);
    assert.deepEqual(
      lossy.sent.map(({ method, status }) => [method, status]),
      [["DELETE", 204]],
    );
    const failing = service.client({ ...options, fetch: unavailable }).user(5);
    await rejection(failing.lock("once").forceRelease());
    assert.deepEqual(sent, ["DELETE"]);
    assert.ok((await rejection(lease.release())) instanceof LockLost);
  });

  it("takes nothing but 204 for a break", async () => {
    const page: Fetch = async () => new Response("<html>Log in</html>", { status: 200 });
    const user = service.client({ token: TOKEN, adminToken: ADMIN, fetch: page }).user(6);
    const told = await rejection(user.lock("stuck").forceRelease());
    assert.ok(told instanceof UnexpectedAnswer);
  });

  it("shows who holds a lock and who waits", async () => {
    const user = service.client({ token: TOKEN }).user(3);
    await user.lock("seen", { expire: 60, owner: "billing run 17" }, async (lease) => {
      const state = await user.lock("seen").status();
      assert.ok(state.held);
      assert.equal(state.owner, "billing run 17");
      assert.equal(state.fencingToken, lease.fencingToken);
      assert.equal(state.waiting, 0);
      const refused = await rejection(user.lock("seen", { timeout: 0.1 }).acquire());
      assert.ok(refused instanceof LockHeld);
      assert.equal(refused.owner, "billing run 17");
    });
  });

  it("watches a lock until it is free or has another holder", async () => {
    const user = service.client({ token: TOKEN }).user(4);
    const lease = await user.lock("watched", { expire: 60 }).acquire();
    const lock = user.lock("watched");
    const other = await lock.watch({ wait: 5, after: lease.fencingToken - 1 });
    assert.ok(other.held && other.fencingToken === lease.fencingToken);
    const unchanged = await lock.watch({ wait: 0.2, after: lease.fencingToken });
    assert.ok(unchanged.held);
    const began = performance.now();
    const free = lock.watch({ wait: 20 });
    await lease.release();
    assert.equal((await free).held, false);
    assert.ok(performance.now() - began < 5000);
  });
});
