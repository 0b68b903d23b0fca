"""What can go wrong. Every exception of this package is an `EdgelatchError`.

No exception holds a token: not in its text, not in its `repr`.
"""

from typing import Any


class EdgelatchError(Exception):
    """The base of all exceptions of this package."""


class TransportError(EdgelatchError):
    """No answer came: the service cannot be reached, hung up, or was too slow.

    Whether it did what was asked is not known, unless `sent` is False.
    """

    def __init__(self, message: str, *, timed_out: bool = False, sent: bool = True) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.sent = sent
        """False if there was no connection: then nothing was done."""


class Problem(EdgelatchError):  # noqa: N818 - the name that RFC 9457 has for it
    """An answer that is an error: problem details as in RFC 9457.

    An answer that is not the service's, of a proxy for instance, is a `Problem` without a `slug`,
    and of no subclass, whatever its status is.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or slug)
        self.status = status
        """The HTTP status."""
        self.slug = slug
        """The end of `type`: `lock-held`, for instance. Empty if a proxy answered."""
        self.detail = detail
        self.errors = errors or []
        """Of a 422: all faults of the request, in FastAPI's shape."""
        self.request_id = request_id
        """Finds the request in the service's log."""
        self.retry_after = retry_after
        """Seconds."""
        self.members = members or {}
        """What else the problem says: `owner` and `waiting` of a held lock, for instance."""

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(status={self.status}, slug={self.slug!r}, detail={self.detail!r})"


class LockHeld(Problem):
    """423: somebody else has the lock, after any waiting."""

    @property
    def owner(self) -> str | None:
        """Who has it, as its holder said with `owner`."""
        owner = self.members.get("owner")
        return owner if isinstance(owner, str) else None


class LockLost(Problem):
    """The lock expired, or was taken, while the work ran.

    Where this client noticed it by its own clock, no answer belongs to it: `request_id` is None.
    """


class NotLockOwner(Problem):
    """409: the token is not, or no longer, the lock's or the computation's."""


class ReservedKey(Problem):
    """409: `last-action` cannot be written."""


class EntryContended(Problem):
    """423: others kept changing the entry, or merged for too long. Nothing was stored."""


class PreconditionFailed(Problem):
    """412: `if_match` or `if_none_match` does not hold. Nothing was changed."""


class NotFound(Problem):
    """404."""


class Unauthorized(Problem):
    """401: no API token, or a wrong one."""


class Forbidden(Problem):
    """403: it needs the admin token, or the request came from another site."""


class InvalidRequest(Problem):
    """400, 413, 415, 422 or 428: the service does not accept the request. `errors` says why."""


class IdempotencyKeyReused(InvalidRequest):
    """422: the idempotency key belongs to a request with another input or another `expire`."""


class OriginFailed(Problem):
    """502 or 504 of the service: the backend behind the service failed or was too slow."""


class RedisUnavailable(Problem):
    """503: Redis is down, refuses, or does not answer. It may have done what was asked."""


BY_SLUG: dict[str, type[Problem]] = {
    "lock-held": LockHeld,
    "lock-lost": LockLost,
    "not-lock-owner": NotLockOwner,
    "reserved-key": ReservedKey,
    "entry-contended": EntryContended,
    "idempotency-key-reused": IdempotencyKeyReused,
    "origin-failed": OriginFailed,
    "origin-timeout": OriginFailed,
}

BY_STATUS: dict[int, type[Problem]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    412: PreconditionFailed,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    428: InvalidRequest,
    503: RedisUnavailable,
}
