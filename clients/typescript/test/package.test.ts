import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { PACKAGE, Service } from "./harness.js";
import { Origin } from "./origin.js";

const run = promisify(execFile);

const README_URL = "http://127.0.0.1:9001";

const tool = (name: string) => join(PACKAGE, "node_modules/.bin", name);

describe("the package", () => {
  let folder: string;
  let origin: Origin;
  let service: Service;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "edgelatch-package-"));
    origin = await Origin.start();
    service = await Service.start({ origin: origin.url });
    const pack = ["pack", "--silent", "--pack-destination", folder];
    const packed = (await run("npm", pack, { cwd: PACKAGE })).stdout.trim();
    const manifest = { name: "consumer", version: "1.0.0", private: true, type: "module" };
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
    const install = ["install", "--offline", "--no-audit", "--no-fund", join(folder, packed)];
    await run("npm", install, { cwd: folder });
    await mkdir(join(folder, "examples"));
    for (const [index, example] of (await examples()).entries()) {
      const text = example.replaceAll(README_URL, service.url);
      await writeFile(join(folder, "examples", `${index + 1}.ts`), text);
    }
  });
  after(async () => {
    await service?.stop();
    await origin?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const installed = () => join(folder, "node_modules/edgelatch");

  it("has what it needs, no dependencies, and no path of this machine", async () => {
    const top = await readdir(installed());
    assert.deepEqual(top.sort(), ["LICENSE", "README.md", "dist", "package.json", "src"]);
    const manifest = JSON.parse(await readFile(join(installed(), "package.json"), "utf8"));
    assert.equal(manifest.dependencies, undefined);
    for (const file of await readdir(installed(), { recursive: true, withFileTypes: true })) {
      if (file.isFile()) {
        const text = await readFile(join(file.parentPath ?? file.path, file.name), "utf8");
        assert.ok(!text.includes(PACKAGE), file.name);
      }
    }
  });

  it("is locked to packages of the public registry", async () => {
    const lock = JSON.parse(await readFile(join(PACKAGE, "package-lock.json"), "utf8"));
    for (const [name, entry] of Object.entries<{ resolved?: string }>(lock.packages)) {
      const from = entry.resolved ?? "https://registry.npmjs.org/";
      assert.ok(from.startsWith("https://registry.npmjs.org/"), name);
    }
  });

  it("is imported in Node.js", async () => {
    const script = 'import * as all from "edgelatch"; console.log(Object.keys(all).join());';
    const node = await run(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: folder,
    });
    assert.match(node.stdout, /Edgelatch,.*LockLost/);
  });

  it("has types for both ways of resolving modules, and its README compiles and runs", async () => {
    for (const [module, moduleResolution] of [
      ["Preserve", "Bundler"],
      ["NodeNext", "NodeNext"],
    ]) {
      const compilerOptions = {
        module,
        moduleResolution,
        target: "ES2022",
        lib: ["ES2022", "DOM", "ESNext.Disposable"],
        types: [],
        strict: true,
        noUncheckedIndexedAccess: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        rootDir: "examples",
        outDir: "compiled",
      };
      await writeFile(
        join(folder, "tsconfig.json"),
        JSON.stringify({ compilerOptions, include: ["examples"] }),
      );
      await runTold(tool("tsc"), ["--project", folder]);
    }
    const compiled: string[] = (await readdir(join(folder, "compiled"))).sort();
    assert.equal(compiled.length, (await examples()).length);
    const printed: string[] = [];
    for (const file of compiled) {
      const node = await run(process.execPath, [join(folder, "compiled", file)], { cwd: folder });
      printed.push(...node.stdout.trim().split("\n"));
    }
    assert.deepEqual(printed, ["3 pages", "free", "{ number: 1 } false", "it ran", "stored", "17"]);
  });

  it("refuses the wrong types", async () => {
    const wrong = `import { Edgelatch } from "edgelatch";
const user = new Edgelatch({ url: "http://127.0.0.1" }).user(1);
// @ts-expect-error: the entry may be absent
(await user.cache.get<{ n: number }>("k")).value;
// @ts-expect-error: it may be what the caller has
(await user.cache.get<{ n: number }>("k", { ifNoneMatch: "*" }))?.value;
// @ts-expect-error: a failed attempt has no result
(await user.attemptAction()).result;
// @ts-expect-error: a user is no object
new Edgelatch({ url: "http://127.0.0.1" }).user({});
const n: Promise<number> = user.lock("name", { timeout: 1 }, async () => 1);
void n;
`;
    await mkdir(join(folder, "wrong"), { recursive: true });
    await writeFile(join(folder, "wrong/wrong.ts"), wrong);
    const compilerOptions = {
      module: "NodeNext",
      target: "ES2022",
      lib: ["ES2022", "DOM", "ESNext.Disposable"],
      types: [],
      strict: true,
      noEmit: true,
    };
    const config = { compilerOptions, include: ["*.ts"] };
    await writeFile(join(folder, "wrong/tsconfig.json"), JSON.stringify(config));
    await runTold(tool("tsc"), ["--project", join(folder, "wrong")]);
  });

  it("runs in Deno", async () => {
    const [example] = await examples();
    assert.ok(example);
    const script = join(folder, "examples/1.ts");
    const deno = await run(
      tool("deno"),
      ["run", "--no-lock", "--no-remote", "--node-modules-dir=manual", "--allow-net", script],
      { cwd: folder, env: { ...process.env, DENO_DIR: join(folder, "deno"), NO_COLOR: "1" } },
    );
    assert.equal(deno.stdout, "3 pages\n");
  });

  it("runs in a browser, from a page of the same origin", async () => {
    const page = await Page.start(service.url, join(installed(), "dist"));
    const profile = await mkdtemp(join(tmpdir(), "edgelatch-browser-"));
    const browser = spawn(
      await chromium(),
      [
        ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        ...["--no-first-run", `--user-data-dir=${profile}`, page.url],
      ],
      { stdio: "ignore", detached: true },
    );
    try {
      assert.deepEqual(JSON.parse(await page.result), {
        fencing: "number",
        held: true,
        after: false,
        value: { n: 1 },
        lost: "LockLost",
      });
    } finally {
      const exit = once(browser, "exit");
      // Its helpers are in its group.
      if (browser.pid !== undefined) {
        process.kill(-browser.pid, "SIGKILL");
      }
      await exit;
      await page.stop();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});

/** The TypeScript of the README. */
async function examples(): Promise<string[]> {
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  return Array.from(readme.matchAll(/^```ts\n(.*?)^```$/gms), (block) => block[1] ?? "");
}

/** Runs a program whose complaints are on its standard output. */
async function runTold(program: string, parameters: string[]): Promise<void> {
  await run(program, parameters).catch((error: { stdout?: string }) => {
    assert.fail(error.stdout ?? String(error));
  });
}

async function chromium(): Promise<string> {
  for (const name of ["chromium", "chromium-browser", "google-chrome", "chrome"]) {
    for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
      if ((await readdir(folder).catch((): string[] => [])).includes(name)) {
        return join(folder, name);
      }
    }
  }
  throw new Error("no Chromium on PATH");
}

const SCRIPT = `
  import { Edgelatch } from "/dist/index.js";
  const report = (result) => fetch("/result", { method: "POST", body: JSON.stringify(result) });
  try {
    const user = new Edgelatch({ url: "/" }).user(7);
    const result = {};
    await user.lock("page", { timeout: 5, expire: 30 }, async (lease) => {
      result.fencing = typeof lease.fencingToken;
      result.held = (await user.lock("page").status()).held;
    });
    result.after = (await user.lock("page").status()).held;
    await user.cache.set("page", { n: 0 }, { expire: 60 });
    await user.cache.get("page");
    await user.cache.set("page", { n: 1 }, { expire: 60 });
    result.value = (await user.cache.get("page")).value;
    const lease = await user.lock("page", { expire: 0.2 }).acquire();
    const end = performance.now() + 300;
    while (performance.now() < end) {}
    result.lost = await lease.release().catch((error) => error.name);
    await report(result);
  } catch (error) {
    await report({ failed: String(error) });
  }
`;

/** Serves a page that uses the package, and the service behind it. */
class Page {
  readonly url: string;
  readonly result: Promise<string>;
  readonly #server: ReturnType<typeof createServer>;

  private constructor(
    server: ReturnType<typeof createServer>,
    url: string,
    result: Promise<string>,
  ) {
    this.#server = server;
    this.url = url;
    this.result = result;
  }

  static async start(service: string, dist: string): Promise<Page> {
    let told: (result: string) => void;
    const result = new Promise<string>((resolve, reject) => {
      told = resolve;
      setTimeout(() => reject(new Error("the page reported nothing")), 30_000).unref();
    });
    const server = createServer(async (asked, response) => {
      const path = asked.url ?? "/";
      if (path.startsWith("/api/")) {
        const { method, headers } = asked;
        const passed = request(service + path, { method, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        asked.pipe(passed);
      } else if (path === "/result") {
        let body = "";
        for await (const data of asked) {
          body += data;
        }
        told(body);
        response.end();
      } else if (path.startsWith("/dist/")) {
        response.setHeader("Content-Type", "text/javascript");
        response.end(await readFile(join(dist, path.slice("/dist/".length))).catch(() => ""));
      } else {
        response.setHeader("Content-Type", "text/html");
        response.end(`<!doctype html><script type="module">${SCRIPT}</script>`);
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    return new Page(server, `http://127.0.0.1:${address.port}/`, result);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
