"""Client of edgelatch: distributed locks, actions and a JSON cache over HTTP.

`Client` and `AsyncClient` are the beginning of everything.
"""

from edgelatch._aio import AsyncCache, AsyncClient, AsyncLease, AsyncLock, AsyncUser
from edgelatch._sync import Cache, Client, Lease, Lock, User
from edgelatch.errors import (
    EdgelatchError,
    EntryContended,
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
    RedisUnavailable,
    ReservedKey,
    TransportError,
    Unauthorized,
)
from edgelatch.results import ActionResult, Entry, LockStatus, NotModified, Stored

__all__ = [
    "ActionResult",
    "AsyncCache",
    "AsyncClient",
    "AsyncLease",
    "AsyncLock",
    "AsyncUser",
    "Cache",
    "Client",
    "EdgelatchError",
    "Entry",
    "EntryContended",
    "Forbidden",
    "IdempotencyKeyReused",
    "InvalidRequest",
    "Lease",
    "Lock",
    "LockHeld",
    "LockLost",
    "LockStatus",
    "NotFound",
    "NotLockOwner",
    "NotModified",
    "OriginFailed",
    "PreconditionFailed",
    "Problem",
    "RedisUnavailable",
    "ReservedKey",
    "Stored",
    "TransportError",
    "Unauthorized",
    "User",
]
