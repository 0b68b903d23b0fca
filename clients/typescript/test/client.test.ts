import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import { inspect } from "node:util";
import {
  ConnectionFailed,
  Edgelatch,
  EdgelatchError,
  InvalidRequest,
  LockLost,
  Problem,
  Unauthorized,
  Unavailable,
  UnexpectedAnswer,
  type User,
} from "edgelatch";
import { aborted, recorder, rejection, Service, trickling } from "./harness.js";

const TOKEN = "secret-token-of-the-tests";
const ADMIN = "admin-token-of-the-tests";

describe("the client", () => {
  let service: Service;
  before(async () => {
    service = await Service.start({ api_token: TOKEN, admin_token: ADMIN });
  });
  after(async () => {
    await service.stop();
  });

  it("sends its token, and tells that it is wrong without saying it", async () => {
    const user = service.client({ token: TOKEN }).user(1);
    assert.equal((await user.lock().status()).held, false);
    for (const token of [undefined, "another-token-entirely"]) {
      const refused = await rejection(service.client({ token }).user(1).performAction());
      assert.ok(refused instanceof Unauthorized);
      assert.ok(refused instanceof Problem && refused instanceof EdgelatchError);
      assert.equal(refused.name, "Unauthorized");
      assert.equal(refused.status, 401);
      assert.doesNotMatch(inspect(refused, { depth: 10 }), /another-token/);
    }
  });

  it("quotes no token that cannot be sent", () => {
    for (const bad of [`${TOKEN}€`, `${TOKEN}\nx`, `a ${TOKEN}`, "", " \n"]) {
      for (const options of [{ token: bad }, { adminToken: bad }]) {
        assert.throws(
          () => service.client(options),
          (error: Error) => error instanceof RangeError && !inspect(error).includes("secret-token"),
        );
      }
    }
  });

  it("refuses an address with a password, also one that would be a path, and quotes none", () => {
    const path = new URL("http://ada:12/lovelace@127.0.0.1");
    for (const url of [
      "http://ada:lovelace@127.0.0.1",
      "http://ada:12/lovelace@127.0.0.1",
      "https://127.0.0.1/b/lovelace@c/d",
      path,
      { href: path.href },
      undefined,
      null,
      5,
      ["http://ada:lovelace@127.0.0.1"],
    ]) {
      assert.throws(
        () => new Edgelatch({ url: url as string }),
        (error: Error) =>
          error instanceof TypeError &&
          error.message.startsWith("url: ") &&
          !inspect(error).includes("lovelace"),
        String(url),
      );
    }
    assert.ok(new Edgelatch({ url: "http://127.0.0.1/a%40b" }));
    assert.ok(new Edgelatch({ url: new URL("http://127.0.0.1/") }));
  });

  it("leaves out white space around a token", async () => {
    const client = service.client({ token: ` ${TOKEN} \n`, adminToken: `${ADMIN}\r\n` });
    await client.user(1).lock("trimmed").forceRelease();
    assert.equal((await client.user(1).lock("trimmed").status()).held, false);
  });

  it("refuses what no header can hold, and quotes none of it", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ token: TOKEN, fetch }).user(1);
    for (const bad of ["secret\n", "secret€", "secret ", " secret", "\tsecret", "", " "]) {
      for (const call of [
        () => user.lock({ owner: bad }).acquire(),
        () => user.performAction(1, { idempotencyKey: bad }),
        () => user.attemptAction(1, { idempotencyKey: bad }),
        () => user.get({ ifNoneMatch: bad }),
        () => user.cache.get("k", { ifNoneMatch: bad }),
        () => user.cache.set("k", 1, { ifMatch: bad }),
        () => user.cache.set("k", 1, { ifNoneMatch: bad }),
        () => user.cache.patch("k", 1, { ifMatch: bad }),
        () => user.cache.delete("k", { ifMatch: bad }),
      ]) {
        const refused = await rejection(call());
        assert.ok(refused instanceof RangeError);
        assert.doesNotMatch(inspect(refused), /secret/);
      }
    }
    assert.deepEqual(sent, []);
  });

  it("sends times as they are written", async () => {
    const { fetch, sent } = recorder();
    const { cache } = service.client({ token: TOKEN, fetch }).user(6);
    // The service checks them before it rounds.
    for (const expire of [0.0005, 0.0009999, 2592000.0000001, 1e-7, 1e21, 5e-324]) {
      assert.ok((await rejection(cache.set("k", 1, { expire }))) instanceof InvalidRequest);
    }
    for (const expire of [0.25, 60, 0.1 + 0.2]) {
      await cache.set("k", 1, { expire });
    }
    const written = sent.map(({ url }) => new URL(url).searchParams.get("expire"));
    assert.equal(written[3], "0.0000001");
    assert.equal(written[4], "1000000000000000000000");
    assert.deepEqual(written.slice(6), ["0.25", "60", "0.30000000000000004"]);
  });

  it("refuses what JSON cannot hold", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ token: TOKEN, fetch }).user(7);
    for (const bad of [Number.NaN, { rate: Number.POSITIVE_INFINITY }, [[Number.NaN]], undefined]) {
      for (const call of [
        () => user.cache.set("k", bad),
        () => user.cache.patch("k", bad),
        ...(bad === undefined ? [] : [() => user.performAction(bad)]),
      ]) {
        assert.ok((await rejection(call() as Promise<unknown>)) instanceof TypeError, `${call}`);
      }
    }
    assert.deepEqual(sent, []);
  });

  it("refuses a user id that a number does not hold exactly", async () => {
    const client = service.client({ token: TOKEN });
    for (const id of [2 ** 53, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => client.user(id), RangeError);
    }
    const big = client.user(9_007_199_254_740_993n);
    await big.cache.set("k", 1);
    assert.equal((await client.user("9007199254740993").cache.get("k"))?.value, 1);
  });

  it("encodes user ids and names, and refuses those that a URL would swallow", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ token: TOKEN, fetch }).user("a/b?c#d");
    await rejection(user.cache.get("../é"));
    assert.ok(sent[0]?.url.endsWith("/api/v1/users/a%2Fb%3Fc%23d/cache/..%2F%C3%A9"));
    for (const name of ["", ".", "..", "\ud800"]) {
      assert.throws(() => user.lock(name), RangeError);
      assert.ok((await rejection(user.cache.get(name))) instanceof RangeError);
      assert.throws(() => service.client().user(name), RangeError);
    }
  });

  it("refuses times that are none, and an owner that is no header", async () => {
    const { fetch, sent } = recorder();
    const user = service.client({ token: TOKEN, fetch }).user(5);
    for (const bad of [-1, Number.NaN, Number.POSITIVE_INFINITY, "5" as unknown as number]) {
      for (const call of [
        () => user.lock({ timeout: bad }).acquire(),
        () => user.lock({ expire: bad }).acquire(),
        () => user.lock({ grace: bad }, () => "not run"),
        () => user.lock().watch({ wait: bad }),
        () => user.lock().watch({ wait: 1, after: bad }),
        () => user.performAction(1, { timeout: bad }),
        () => user.attemptAction(1, { expire: bad }),
        () => user.get({ expire: bad }),
        () => user.cache.set("k", 1, { expire: bad }),
        () => user.cache.getOrCompute("k", () => 1, { compute: bad }),
        () => user.cache.getOrCompute("k", () => 1, { timeout: bad }),
        () => user.cache.getOrCompute("k", () => 1, { refresh: bad }),
        () => user.cache.getOrCompute("k", () => 1, { expire: bad }),
      ]) {
        assert.ok((await rejection(call() as Promise<unknown>)) instanceof RangeError, `${call}`);
      }
      assert.throws(() => service.client({ requestTimeout: bad }), RangeError);
      assert.throws(() => service.client({ retries: bad }), RangeError);
    }
    assert.throws(() => service.client({ retries: 0.5 }), RangeError);
    assert.deepEqual(sent, []);
    const owner = user.lock({ owner: "two\nlines" }).acquire();
    assert.ok((await rejection(owner)) instanceof RangeError);
  });

  it("takes no answer of a stranger for a success", async () => {
    const texts = ["<html>", "{}", "[]", "null", "5", '{"status":"pending"}', '{"status":5}'];
    for (const status of [200, 201, 202]) {
      for (const text of texts) {
        const headers = { ETag: '"page"', "X-Request-Id": "page" };
        const fetch = async () => new Response(text, { status, headers });
        const user = new Edgelatch({ url: "http://proxy.test", fetch }).user(1);
        for (const call of [
          () => user.performAction(),
          () => user.attemptAction(),
          () => user.cache.set("k", 1),
          () => user.cache.delete("k"),
          () => user.lock().acquire(),
          () => user.lock().status(),
          () => user.lock().forceRelease(),
        ]) {
          const told = await rejection(call());
          assert.ok(told instanceof UnexpectedAnswer, `${call} ${status} ${text}: ${told}`);
          assert.equal(told.body, text);
        }
      }
    }
    const odd = [
      '{"held":"yes"}',
      '{"held":1,"waiting":0}',
      '{"held":true,"expires_in":"7"}',
      '{"held":true,"fencing_token":"7"}',
      '{"held":true,"owner":7}',
      '{"held":false,"waiting":"0"}',
      '{"status":"failed"}',
      '{"token":"t","fencing_token":"7","expires_in":10}',
      '{"token":"t","fencing_token":7,"expires_in":"10"}',
      '{"token":"t","fencing_token":7.5,"expires_in":10}',
    ];
    for (const text of odd) {
      const fetch = async () => new Response(text, { headers: { "X-Request-Id": "odd" } });
      const user = new Edgelatch({ url: "http://proxy.test", fetch }).user(1);
      for (const call of [
        () => user.attemptAction(),
        () => user.lock().acquire(),
        () => user.lock().status(),
        () => user.lock().watch({ wait: 1 }),
      ]) {
        assert.ok((await rejection(call())) instanceof UnexpectedAnswer, `${call} ${text}`);
      }
    }
    const fetch = async () => new Response(null, { headers: { "X-Request-Id": "untagged" } });
    const { cache } = new Edgelatch({ url: "http://proxy.test", fetch }).user(1);
    // The service has tags.
    assert.ok((await rejection(cache.set("k", 1))) instanceof UnexpectedAnswer);
  });

  it("takes no answer for the service's without what each of them has", async () => {
    const login = '{"login":"here"}';
    const tag = { ETag: '"page"' };
    const id = { "X-Request-Id": "page" };
    const reads = (user: User) => [
      () => user.get(),
      () => user.cache.get("k"),
      () => user.cache.patch("k", {}),
      () => user.cache.getOrCompute("k", () => 1),
    ];
    const deletes = (user: User) => [
      () => user.cache.delete("k"),
      () => user.lock().forceRelease(),
    ];
    for (const [status, text, headers, calls] of [
      [200, login, tag, reads],
      [200, login, id, reads],
      [202, login, { ...tag, ...id }, reads],
      [304, null, tag, reads],
      [304, null, id, reads],
      [204, null, tag, deletes],
    ] as const) {
      const fetch = async () => new Response(text, { status, headers });
      for (const call of calls(new Edgelatch({ url: "http://proxy.test", fetch }).user(1))) {
        const told = await rejection(call() as Promise<unknown>);
        assert.ok(told instanceof UnexpectedAnswer, `${call} ${status}`);
      }
    }
  });

  it("tells that nobody answers, and what is no answer of the service", async () => {
    const closed = new Edgelatch({ url: "http://127.0.0.1:9", retries: 1 });
    const unreached = await rejection(closed.user(1).cache.get("k"));
    assert.ok(unreached instanceof ConnectionFailed);
    assert.match(unreached.message, /^GET \/1\/cache\/k: no answer$/);
    const proxied = new Edgelatch({
      url: "http://proxy.test/behind/",
      fetch: async (url) => {
        assert.equal(url, "http://proxy.test/behind/api/v1/users/1/cache/k");
        return new Response("<h1>Bad gateway</h1>", { status: 502 });
      },
    });
    const unexpected = await rejection(proxied.user(1).cache.get("k"));
    assert.ok(unexpected instanceof UnexpectedAnswer);
    assert.equal(unexpected.status, 502);
    assert.equal(unexpected.body, "<h1>Bad gateway</h1>");
  });

  it("pauses for no longer than is sensible, whatever a 503 asks for", async () => {
    const told = JSON.stringify({ type: "urn:edgelatch:redis-unavailable", status: 503 });
    for (const asked of ["86400", "9".repeat(400)]) {
      let sent = 0;
      const headers = { "Content-Type": "application/problem+json", "Retry-After": asked };
      const fetch = async () => {
        sent += 1;
        return new Response(told, { status: 503, headers });
      };
      const user = new Edgelatch({ url: "http://proxy.test", fetch }).user(1);
      for (const call of [() => user.cache.get("k"), () => user.performAction()]) {
        sent = 0;
        const failed = await rejection(call());
        assert.ok(failed instanceof Unavailable);
        // What is no number counts for nothing, so it is repeated as ever.
        assert.equal(sent > 1, failed.retryAfter === undefined);
      }
    }
  });

  it("does not take its token to where an answer redirects", async () => {
    const server = createServer((_, response) => {
      response.writeHead(307, { Location: `${service.url}/api/v1/users/1/lock` }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const client = new Edgelatch({ url: `http://127.0.0.1:${address.port}`, token: TOKEN });
    const refused = await rejection(client.user(1).lock().status());
    server.closeAllConnections();
    server.close();
    assert.ok(refused instanceof UnexpectedAnswer && refused.status === 307);
  });

  it("waits no longer than its limit for an answer", async () => {
    const client = service.client({ token: TOKEN, requestTimeout: 0.3, retries: 0 });
    await service.pause();
    const late = await rejection(client.user(6).lock().status());
    service.continue();
    assert.ok(late instanceof ConnectionFailed);
    assert.match(late.message, /no answer within 300 ms/);
  });

  it("waits no longer for one of which each byte comes in time, but not all", async () => {
    for (const part of ["head", "body"] as const) {
      const server = await trickling(part);
      const client = new Edgelatch({ url: server.url, requestTimeout: 0.3, retries: 0 });
      const late = await rejection(client.user(6).lock().status());
      server.close();
      assert.ok(late instanceof ConnectionFailed, part);
      assert.match(late.message, /no answer within 300 ms/);
    }
  });

  it("knows that a lock is lost while the answer to its renewal trickles in", async () => {
    for (const part of ["head", "body"] as const) {
      const server = await trickling(part);
      const client = new Edgelatch({ url: server.url, requestTimeout: 60 });
      const began = performance.now();
      const lost = await rejection(
        client.user(6).lock("slow", { expire: 1 }, async (_, signal) => {
          await aborted(signal);
          signal.throwIfAborted();
        }),
      );
      const took = performance.now() - began;
      server.close();
      assert.ok(lost instanceof LockLost, part);
      assert.ok(took > 900 && took < 2000, `${part}: ${took} ms`);
    }
  });
});
