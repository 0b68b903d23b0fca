"""Flows of a lock that is held: renew, release, look at it."""

import time
from dataclasses import dataclass, field

from edgelatch._flow import Flow, Limits, Pause, Send, ask, backoff, once, repeated
from edgelatch._wire import (
    USERS,
    Call,
    Reply,
    UserId,
    authorization,
    headers,
    is_whole,
    lock_status,
    params,
    problem,
    seconds,
    segment,
)
from edgelatch.errors import (
    EdgelatchError,
    LockLost,
    NotLockOwner,
    TransportError,
)
from edgelatch.results import LockStatus

RELEASE_LIMIT = 5.0
"""Seconds that giving a lock back may take: it would expire by itself."""

LATE_RELEASE_LIMIT = 0.5
"""Seconds that it may take if the lock has expired by our clock, and its loss is to be told."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A lock, and how it is to be held."""

    user: UserId
    name: str | None
    timeout: float
    expire: float
    owner: str | None

    def __post_init__(self) -> None:
        """Raises `ValueError` for what cannot be sent, before anything is."""
        segment(self.user, "user id")
        if self.name is not None:
            segment(self.name, "name")
        seconds(self.timeout, "timeout")
        seconds(self.expire, "expire")
        headers({"Lock-Owner": self.owner})

    @property
    def path(self) -> str:
        path = f"{USERS}/{segment(self.user, 'user id')}"
        return f"{path}/lock" if self.name is None else f"{path}/locks/{segment(self.name, 'name')}"

    def __str__(self) -> str:
        user = f"user {self.user}"
        return f"the lock of {user}" if self.name is None else f"lock {self.name!r} of {user}"


@dataclass(slots=True)
class Held:
    """A lock that is held, as far as this client knows."""

    wanted: Wanted
    token: str = field(repr=False)
    fencing_token: int
    expires_at: float
    """By the monotonic clock, and not later than by Redis'."""
    renew_at: float
    lost: LockLost | None = None
    """Why it is lost."""
    lost_by_clock: bool = False
    """No answer said so. If the answer to a renewal was lost, it may still be ours."""
    released: bool = False

    def left(self) -> float:
        """Seconds until it expires, unless it is renewed."""
        return self.expires_at - time.monotonic()

    def call(self, method: str) -> Call:
        query = params(expire=self.wanted.expire) if method == "PUT" else {}
        return Call(method, self.wanted.path, query, {"Lock-Token": self.token})

    def check(self) -> None:
        """Notices an expiry. Raises `LockLost` if the lock is lost."""
        if self.lost is None and not self.released and self.left() <= 0:
            self.lost = lost_lock(self.wanted, "expired before it was renewed")
            self.lost_by_clock = True
        if self.lost is not None:
            raise self.lost

    def renewed(self, reply: Reply) -> None:
        """Takes in the answer to a renewal. Raises `LockLost` if the lock is lost."""
        if self.released:
            # The release overtook the renewal.
            return
        if not reply.is_answer(200):
            refusal = problem(reply)
            if not isinstance(refusal, NotLockOwner):
                raise refusal
            self.lost = lost_lock(self.wanted, "expired or was taken", reply)
            raise self.lost
        number, left = reply.granted()
        if number != self.fencing_token:
            # An acquisition of ours came late and took the lock again. Others may have had it.
            self.lost = lost_lock(self.wanted, "was lost and acquired again", reply)
            raise self.lost
        self.expires_at = reply.sent + left
        self.renew_at = reply.sent + self.wanted.expire / 3

    def cannot_renew(self, error: Exception) -> None:
        """Takes in that its renewal has ended, by a fault or a client that was closed."""
        if self.lost is None:
            self.lost = lost_lock(self.wanted, "cannot be renewed any longer")
            self.lost.__cause__ = error


def lost_lock(wanted: Wanted, what: str, reply: Reply | None = None) -> LockLost:
    request_id = None if reply is None else reply.headers.get("x-request-id")
    return LockLost(409, "lock-lost", f"{wanted} {what}", request_id=request_id)


def renew(held: Held, limits: Limits) -> Flow[None]:
    """Renews the lock. Repeated until it expires at the most."""
    if held.released:
        raise lost_lock(held.wanted, "was released")
    until = min(held.expires_at, time.monotonic() + limits.retry)
    outcome = yield from repeated(
        lambda: held.call("PUT"), lambda: min(max(held.left(), 0.1), limits.answer), until
    )
    held.renewed(outcome.reply)


def keep(held: Held) -> Flow[None]:
    """Renews the lock at a third of its expiry, until it is lost; then raises `LockLost`.

    A renewal that fails is repeated for as long as the lock lives by our clock.
    """
    failures = 0
    cause: EdgelatchError | None = None
    while True:
        yield Pause(max(min(held.renew_at, held.expires_at) - time.monotonic(), 0.0))
        if held.released:
            return
        try:
            held.check()
        except LockLost as lost:
            raise lost from cause
        # Two thirds are left after the first try hangs for a third: time for another.
        limit = min(held.left(), max(held.wanted.expire / 3, 1.0))
        answer = yield Send(held.call("PUT"), limit)
        try:
            if isinstance(answer, TransportError):
                raise answer
            if answer is not None:
                held.renewed(answer)
            failures, cause = 0, None
        except LockLost:
            raise
        except EdgelatchError as error:
            cause = error
            held.renew_at = time.monotonic() + backoff(failures)
            failures += 1


def release(held: Held) -> Flow[None]:
    """Gives the lock back, once. Raises `LockLost` if it was lost before."""
    if held.released:
        return
    try:
        held.check()
    except LockLost:
        if held.lost_by_clock:
            yield from once(held.call("DELETE"), LATE_RELEASE_LIMIT)
        raise
    until = time.monotonic() + min(held.left(), RELEASE_LIMIT)
    outcome = yield from repeated(
        lambda: held.call("DELETE"), lambda: max(until - time.monotonic(), 0.1), until
    )
    reply = outcome.reply
    if not reply.is_answer(204):
        refusal = problem(reply)
        if not isinstance(refusal, NotLockOwner):
            raise refusal
        # An earlier try, whose answer was lost, may have given it back.
        if outcome.doubt is None:
            held.lost = lost_lock(held.wanted, "expired or was taken", reply)
            raise held.lost
    held.released = True
    held.expires_at = time.monotonic()


def release_by(wanted: Wanted, token: str, limits: Limits) -> Flow[bool]:
    """Releases the lock of this token, whoever acquired it. Returns whether it was held by it."""
    call = Call("DELETE", wanted.path, {}, headers({"Lock-Token": token}))
    outcome = yield from ask(call, limits)
    if outcome.reply.is_answer(204):
        return True
    refusal = problem(outcome.reply)
    if isinstance(refusal, NotLockOwner):
        # An earlier try, whose answer was lost, may have released it.
        return outcome.doubt is not None
    # One that no lock can have.
    if refusal.slug == "lock-token-invalid":
        return False
    raise refusal


def status(wanted: Wanted, limits: Limits) -> Flow[LockStatus]:
    outcome = yield from ask(Call("GET", wanted.path), limits)
    return lock_status(outcome.reply)


def watch(wanted: Wanted, wait: float, after: int | None, limits: Limits) -> Flow[LockStatus]:
    query = {"wait": seconds(wait, "wait")}
    if after is not None:
        if not is_whole(after):
            raise ValueError(f"after: {after!r} is no fencing token")
        query["after"] = str(after)
    outcome = yield from ask(Call("GET", wanted.path, query), limits, waits=wait)
    return lock_status(outcome.reply)


def force_release(wanted: Wanted, admin_token: str, limits: Limits) -> Flow[None]:
    sent = authorization(admin_token)
    call = Call("DELETE", wanted.path, {"force": "true"}, sent)
    # Once: a repetition could take the lock from the next holder.
    reply = yield from once(call, limits.answer)
    if isinstance(reply, TransportError):
        raise reply
    if not reply.is_answer(204):
        raise problem(reply)
