// An origin for the tests: it counts what it is asked, and answers as it is told.

import { once } from "node:events";
import { createServer, type Server } from "node:http";

export class Origin {
  /** What was asked: method and path. */
  readonly asked: string[] = [];
  /** The inputs of the actions. */
  readonly inputs: unknown[] = [];
  status = 200;
  /** How long an action takes, in ms. */
  takes = 0;
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(): Promise<Origin> {
    let origin: Origin | undefined;
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (data) => {
        body += data;
      });
      request.on("end", () => {
        setTimeout(() => {
          const { status, answer } = origin?.answer(request.method, request.url, body) ?? {};
          response.writeHead(status ?? 500, { "Content-Type": "application/json" });
          response.end(JSON.stringify(answer ?? null));
        }, origin?.takes);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") {
      throw new Error("no port");
    }
    origin = new Origin(server, `http://127.0.0.1:${address.port}`);
    return origin;
  }

  answer(method = "", path = "", body = "") {
    this.asked.push(`${method} ${path}`);
    if (method === "POST") {
      this.inputs.push(body === "" ? undefined : JSON.parse(body));
    }
    return { status: this.status, answer: { number: this.asked.length } };
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
