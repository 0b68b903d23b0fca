// The client: where the service is, and who asks.

import { bareToken, baseUrl, type UserId, whole } from "./arguments.js";
import { type Fetch, Transport } from "./transport.js";
import { User } from "./user.js";

/** Where the service is, and who asks. */
export interface EdgelatchOptions {
  /** Its address: `http://127.0.0.1:9001`. In a browser, a path will do. */
  readonly url: string | URL;
  /** The service's `api_token`. White space around it is left out. */
  readonly token?: string | undefined;
  /** The service's `admin_token`, for `forceRelease`. By default, `token`. */
  readonly adminToken?: string | undefined;
  /** What sends requests, in place of the global `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** How long an answer may take, beyond what a request may wait for, in seconds (5). */
  readonly requestTimeout?: number | undefined;
  /** How often a request that may be repeated is sent again after a lost answer or a 503 (2). */
  readonly retries?: number | undefined;
}

/** A client of edgelatch. It keeps nothing open. */
export class Edgelatch {
  readonly #transport: Transport;
  readonly #admin: string | undefined;

  constructor(options: EdgelatchOptions) {
    const { token, adminToken, requestTimeout = 5, retries = 2 } = options;
    if (!(Number.isFinite(requestTimeout) && requestTimeout > 0)) {
      throw new RangeError("requestTimeout: not a number of seconds above 0");
    }
    this.#admin = adminToken === undefined ? undefined : bareToken("adminToken", adminToken);
    this.#transport = new Transport({
      base: baseUrl(options.url),
      fetch: options.fetch,
      token: token === undefined ? undefined : bareToken("token", token),
      usual: requestTimeout * 1000,
      retries: whole("retries", retries),
    });
  }

  /** One user. */
  user(id: UserId): User {
    return new User(this.#transport, id, this.#admin);
  }
}
