// The real service and a real Redis of its own, for the tests.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Edgelatch, type EdgelatchOptions, type Fetch } from "edgelatch";

/** The folder of this package. */
export const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

const ROOT = join(PACKAGE, "../..");
const HOST = process.env["EDGELATCH_HOST"] ?? join(ROOT, "target/debug/edgelatch-host");
const MANIFEST = process.env["EDGELATCH_MANIFEST"] ?? join(ROOT, "spin.toml");
const REDIS = process.env["EDGELATCH_REDIS_BIN"] ?? "redis-server";

/** How long a server may take to start, and a condition to come true, in ms. */
const LIMIT = 20_000;

/** What we have started: it ends with us, also where a test hangs and is stopped. */
const started = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of started) {
    child.kill("SIGKILL");
  }
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => process.exit(1));
}

function ended(child: ChildProcess): Promise<unknown> {
  started.add(child);
  return once(child, "exit").finally(() => started.delete(child));
}

/** Resolves once the condition is true. */
export async function until(what: string, condition: () => boolean | Promise<boolean>) {
  const deadline = performance.now() + LIMIT;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      throw new Error(`this did not come true: ${what}`);
    }
    await passed(10);
  }
}

/** A time has passed, in ms: where time itself is what is tested. */
export function passed(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** Stops a process where it is. It may still answer until the system says that it has stopped. */
async function stop(child: ChildProcess): Promise<void> {
  child.kill("SIGSTOP");
  await until("the process has stopped", () => {
    const state = spawnSync("ps", ["-o", "stat=", "-p", String(child.pid)], { encoding: "utf8" });
    return state.stdout.trim().startsWith("T");
  });
}

/** A Redis server. Its data is lost when it is killed. */
export class Redis {
  readonly port: number;
  readonly #folder: string;
  #server: ChildProcess | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
  }

  static async start(): Promise<Redis> {
    const redis = new Redis(await freePort(), await mkdtemp(join(tmpdir(), "edgelatch-redis-")));
    await redis.start();
    return redis;
  }

  /** Starts it, again after it was killed. */
  async start(): Promise<void> {
    const where = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.#folder];
    this.#server = spawn(REDIS, [...where, "--save", "", "--appendonly", "no"], {
      stdio: "ignore",
    });
    ended(this.#server).catch(() => {});
    await until("Redis answers", async () => {
      return (await this.command("PING").catch(() => "")) === "+PONG";
    });
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server) {
      const exit = once(server, "exit");
      server.kill("SIGKILL");
      await exit;
    }
  }

  /** It keeps its connections and answers nothing, until it is continued. */
  async pause(): Promise<void> {
    if (this.#server) {
      await stop(this.#server);
    }
  }

  continue(): void {
    this.#server?.kill("SIGCONT");
  }

  /** The first line of the reply to an inline command. */
  command(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, "127.0.0.1", () => socket.write(`${line}\r\n`));
      let reply = "";
      socket.setTimeout(1000, () => socket.destroy(new Error("no reply")));
      socket.on("error", reject);
      socket.on("data", (data) => {
        reply += data.toString();
        if (reply.includes("\r\n")) {
          resolve(reply.split("\r\n")[0] ?? "");
          socket.destroy();
        }
      });
    });
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/**
 * A server that grants every lock for a second, and whose other answers do not end: a byte of the
 * head or of the body comes now and then.
 */
export async function trickling(part: "head" | "body"): Promise<{ url: string; close(): void }> {
  const granted = `{"token":"0123456789abcdef","fencing_token":7,"expires_in":1}`;
  const ours = "X-Request-Id: trickling";
  const length = `Content-Length: ${granted.length}\r\n${ours}`;
  const begun = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n";
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    let timer: NodeJS.Timeout | undefined;
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      open.delete(socket);
    });
    socket.on("data", (data) => {
      const method = data.toString().split(" ")[0];
      if (method === "POST") {
        socket.write(`HTTP/1.1 201 Created\r\n${length}\r\n\r\n${granted}`);
      } else if (method === "DELETE") {
        socket.write(`HTTP/1.1 204 No Content\r\n${ours}\r\n\r\n`);
      } else {
        socket.write(`${begun}${part === "head" ? "X-Long: " : "\r\n"}`);
        timer = setInterval(() => socket.write(" "), 50);
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const close = () => {
    server.close();
    for (const socket of open) {
      socket.destroy();
    }
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

/** The service, with a Redis of its own. */
export class Service {
  readonly url: string;
  readonly redis: Redis;
  readonly #process: ChildProcess;
  readonly #state: string;

  private constructor(url: string, redis: Redis, process: ChildProcess, state: string) {
    this.url = url;
    this.redis = redis;
    this.#process = process;
    this.#state = state;
  }

  /** Starts both. `variables` are Spin variables. */
  static async start(variables: Record<string, string> = {}): Promise<Service> {
    const redis = await Redis.start();
    const state = await mkdtemp(join(tmpdir(), "edgelatch-service-"));
    const set = Object.entries({
      ...variables,
      redis_host: "127.0.0.1",
      redis_port: String(redis.port),
    });
    const named = set.map(([name, value]) => [`SPIN_VARIABLE_${name.toUpperCase()}`, value]);
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("SPIN_VARIABLE_"),
    );
    const host = ["up", "--from", MANIFEST, "--listen", "127.0.0.1:0", "--state-dir", state];
    const service = spawn(HOST, host, {
      env: Object.fromEntries([...inherited, ...named]),
      stdio: ["ignore", "pipe", "pipe"],
    });
    ended(service).catch(() => {});
    const url = await address(service).catch(async (error: unknown) => {
      service.kill("SIGKILL");
      await redis.stop();
      throw error;
    });
    return new Service(url, redis, service, state);
  }

  client(options: Partial<EdgelatchOptions> = {}): Edgelatch {
    return new Edgelatch({ url: this.url, ...options });
  }

  /** It keeps its connections and answers nothing, until it is continued. */
  async pause(): Promise<void> {
    await stop(this.#process);
  }

  continue(): void {
    this.#process.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGCONT");
    this.#process.kill("SIGKILL");
    await exit;
    await this.redis.stop();
    await rm(this.#state, { recursive: true, force: true });
  }
}

function address(service: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    service.on("error", reject);
    service.on("exit", () => reject(new Error(`the service did not start:\n${said}`)));
    for (const stream of [service.stdout, service.stderr]) {
      if (stream) {
        createInterface(stream).on("line", (line) => {
          said += `${line}\n`;
          const url = /Serving (http:\/\/\S+)/.exec(line)?.[1];
          if (url !== undefined) {
            resolve(url.replace(/\/$/, ""));
          }
        });
      }
    }
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") {
    throw new Error("no port");
  }
  return address.port;
}

/** A request that was sent, and what became of it. */
export interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly status: number;
  /** When its answer was there, by `performance.now`. */
  readonly answered: number;
}

/** A `fetch` that records, and loses the answers of the requests that `loses` picks. */
export function recorder(
  loses: (method: string, url: string, nth: number) => boolean = () => false,
) {
  const sent: Sent[] = [];
  const record: Fetch = async (url, init) => {
    const method = init.method ?? "GET";
    const response = await fetch(url, init);
    const headers = new Headers(init.headers);
    const { status } = response;
    sent.push({ method, url, headers, status, answered: performance.now() });
    const nth = sent.filter((other) => other.method === method).length;
    if (loses(method, url, nth)) {
      await response.arrayBuffer();
      throw new TypeError("the connection broke");
    }
    return response;
  };
  return { fetch: record, sent };
}

/** The signal's abort, as a promise. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(signal.reason);
    }
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not reject");
}
