// Errors. None has a token in its message, nor a header of a request.

/** What every error of this package is, but for wrong arguments: TypeError and RangeError. */
export class EdgelatchError extends Error {
  static {
    // On the prototype, so that it survives minifiers that rename classes.
    EdgelatchError.prototype.name = "EdgelatchError";
  }
}

/**
 * There was no answer: the service could not be reached, or did not answer in time. The request may
 * have been carried out all the same.
 */
export class ConnectionFailed extends EdgelatchError {
  static {
    ConnectionFailed.prototype.name = "ConnectionFailed";
  }
}

/** An answer that the contract does not know: from a proxy, or from the origin passed through. */
export class UnexpectedAnswer extends EdgelatchError {
  static {
    UnexpectedAnswer.prototype.name = "UnexpectedAnswer";
  }

  /** The HTTP status; 0 for a redirect in a browser. */
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;

  constructor(message: string, answer: { status: number; headers: Headers; text: string }) {
    super(message);
    this.status = answer.status;
    this.headers = answer.headers;
    this.body = answer.text;
  }
}

/** One fault of a request that was refused with 422. */
export interface Fault {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
}

/** What a problem says. */
export interface ProblemDetails {
  readonly status: number;
  /** The last part of its type: `lock-held` of `urn:edgelatch:lock-held`. */
  readonly slug: string;
  readonly title?: string | undefined;
  readonly detail?: string | undefined;
  /** The path of the request. */
  readonly instance?: string | undefined;
  readonly errors?: readonly Fault[] | undefined;
  readonly requestId?: string | undefined;
  /** In seconds. */
  readonly retryAfter?: number | undefined;
  readonly owner?: string | undefined;
  readonly waiting?: number | undefined;
}

/** A problem as the service tells it (RFC 9457). */
export class Problem extends EdgelatchError implements ProblemDetails {
  static {
    Problem.prototype.name = "Problem";
  }

  readonly status: number;
  readonly slug: string;
  readonly title: string | undefined;
  readonly detail: string | undefined;
  readonly instance: string | undefined;
  /** The faults of a request that was refused with 422, or none. */
  readonly errors: readonly Fault[];
  readonly requestId: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(details: ProblemDetails, options?: ErrorOptions) {
    super(message(details), options);
    this.status = details.status;
    this.slug = details.slug;
    this.title = details.title;
    this.detail = details.detail;
    this.instance = details.instance;
    this.errors = details.errors ?? [];
    this.requestId = details.requestId;
    this.retryAfter = details.retryAfter;
  }
}

function message(details: ProblemDetails): string {
  const said = details.detail ?? details.title ?? details.slug;
  return `${said} (${details.status} ${details.slug})`;
}

/** Somebody else has the lock, or computes the value, and the time to wait is over. */
export class LockHeld extends Problem {
  static {
    LockHeld.prototype.name = "LockHeld";
  }

  /** Who holds it, as the holder said. */
  readonly owner: string | undefined;
  /** How many others wait. */
  readonly waiting: number | undefined;

  constructor(details: ProblemDetails, options?: ErrorOptions) {
    super(details, options);
    this.owner = details.owner;
    this.waiting = details.waiting;
  }
}

/** The lock expired or was taken before the work under it had ended. */
export class LockLost extends Problem {
  static {
    LockLost.prototype.name = "LockLost";
  }

  /** The body is still running: it has not ended in its grace after its signal was aborted. */
  bodyRunning = false;
  /** What becomes of the body, if there is one. Never rejects unhandled. */
  body: Promise<unknown> | undefined;

  /** @internal */
  static found(detail: string, cause?: unknown): LockLost {
    const details = { status: 409, slug: "lock-lost", title: "Lock lost", detail };
    return new LockLost(details, cause === undefined ? undefined : { cause });
  }
}

/** The token is not, or no longer, the one that holds the lock or computes the value. */
export class NotLockOwner extends Problem {
  static {
    NotLockOwner.prototype.name = "NotLockOwner";
  }
}

/** `last-action` cannot be written. */
export class ReservedKey extends Problem {
  static {
    ReservedKey.prototype.name = "ReservedKey";
  }
}

/** Others kept changing the entry, or merged for too long. Nothing was stored. */
export class EntryContended extends Problem {
  static {
    EntryContended.prototype.name = "EntryContended";
  }
}

/** `ifMatch` or `ifNoneMatch` does not hold. */
export class PreconditionFailed extends Problem {
  static {
    PreconditionFailed.prototype.name = "PreconditionFailed";
  }
}

/** The idempotency key has been used for another request. */
export class IdempotencyKeyReused extends Problem {
  static {
    IdempotencyKeyReused.prototype.name = "IdempotencyKeyReused";
  }
}

/** The request is refused as it is written (400, 413, 415, 422, 428): `errors` says why. */
export class InvalidRequest extends Problem {
  static {
    InvalidRequest.prototype.name = "InvalidRequest";
  }
}

/** No token, or a wrong one. */
export class Unauthorized extends Problem {
  static {
    Unauthorized.prototype.name = "Unauthorized";
  }
}

/** The token does not open this, or the request came from another site. */
export class Forbidden extends Problem {
  static {
    Forbidden.prototype.name = "Forbidden";
  }
}

/** There is no such entry, or no origin to read from. */
export class NotFound extends Problem {
  static {
    NotFound.prototype.name = "NotFound";
  }
}

/** The origin failed, or was too slow. */
export class OriginFailed extends Problem {
  static {
    OriginFailed.prototype.name = "OriginFailed";
  }
}

/** Redis cannot be reached, refuses, or does not answer in time. */
export class Unavailable extends Problem {
  static {
    Unavailable.prototype.name = "Unavailable";
  }
}

type ProblemClass = new (details: ProblemDetails) => Problem;

const BY_SLUG: Readonly<Record<string, ProblemClass>> = {
  "lock-held": LockHeld,
  "lock-lost": LockLost,
  "not-lock-owner": NotLockOwner,
  "reserved-key": ReservedKey,
  "entry-contended": EntryContended,
  "precondition-failed": PreconditionFailed,
  "idempotency-key-reused": IdempotencyKeyReused,
  "origin-failed": OriginFailed,
  "origin-timeout": OriginFailed,
};

const BY_STATUS: Readonly<Record<number, ProblemClass>> = {
  400: InvalidRequest,
  401: Unauthorized,
  403: Forbidden,
  404: NotFound,
  413: InvalidRequest,
  415: InvalidRequest,
  422: InvalidRequest,
  428: InvalidRequest,
  503: Unavailable,
};

/** The problem of its class. @internal */
export function problem(details: ProblemDetails): Problem {
  const Class = BY_SLUG[details.slug] ?? BY_STATUS[details.status] ?? Problem;
  return new Class(details);
}
