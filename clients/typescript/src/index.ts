// The client of edgelatch: locks, actions and a JSON cache for each user, over HTTP.

export type { ActionOptions, AttemptOptions, Failure, Success } from "./actions.js";
export type { UserId } from "./arguments.js";
export type {
  Cache,
  Cancellable,
  Compute,
  ComputeOptions,
  Conditions,
  Entry,
  Json,
  NotModified,
  SetOptions,
  Stored,
} from "./cache.js";
export { Edgelatch, type EdgelatchOptions } from "./client.js";
export {
  ConnectionFailed,
  EdgelatchError,
  EntryContended,
  type Fault,
  Forbidden,
  IdempotencyKeyReused,
  InvalidRequest,
  LockHeld,
  LockLost,
  NotFound,
  NotLockOwner,
  OriginFailed,
  PreconditionFailed,
  Problem,
  type ProblemDetails,
  ReservedKey,
  Unauthorized,
  Unavailable,
  UnexpectedAnswer,
} from "./errors.js";
export type { Lease } from "./lease.js";
export type { Body, Lock, LockOptions, LockState, RunOptions, WatchOptions } from "./lock.js";
export type { Fetch } from "./transport.js";
export type { ReadOptions, User } from "./user.js";
