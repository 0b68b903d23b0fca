"""What calls return."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LockStatus:
    """The state of a lock, at the moment of the answer."""

    held: bool
    fencing_token: int | None = None
    """None if the lock is free, or if it was set by a client that is not edgelatch."""
    expires_in: float | None = None
    """Seconds. None if the lock is free, or has no expiry."""
    owner: str | None = None
    """What the holder said with `owner`."""
    waiting: int | None = None
    """How many wait for it. None if the service does not say."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A JSON value and what is known of it."""

    value: Any
    etag: str
    max_age: int | None
    """Seconds for which it stays valid."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """The entry still has the entity tag that `if_none_match` named."""

    etag: str
    max_age: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A value was stored."""

    etag: str
    created: bool
    """False if it replaced another."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """How an action ended."""

    succeeded: bool
    """False only of `attempt_action`, if somebody else has the lock: the action did not run."""
    result: Any = None
    """What the action returned; None if it returned nothing."""
    fencing_token: int | None = None
    lock_wait: float | None = None
    """Seconds that it waited for the lock."""
    replayed: bool = False
    """Whether an earlier success under the same idempotency key was told again."""
    retry_after: float | None = None
    """Seconds until another attempt may succeed."""
