"""Flows of a lock: acquire, renew while it is held, release."""

import secrets
import time
from dataclasses import dataclass, field

from edgelatch._flow import Flow, Later, Limits, Pause, Send, ask, backoff, once, repeated
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
    LockHeld,
    LockLost,
    NotLockOwner,
    Problem,
    TransportError,
)
from edgelatch.results import LockStatus

LONGEST_WAIT = 60.0
"""Seconds that the service lets one request wait."""

RELEASE_LIMIT = 5.0
"""Seconds that giving a lock back may take: it would expire by itself."""

GIVE_BACK_LIMIT = 10.0
"""Seconds for which a client tries to give back what it may have acquired."""

SETTLED = 2.0
"""Seconds after which Redis has carried out all that came before a release: `redis_timeout`, which
is 1 by default, and one more."""

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


def new_token() -> str:
    return secrets.token_hex(16)


def acquire(wanted: Wanted, token: str, limits: Limits) -> Flow[Held]:
    """Waits for the lock. Repeating is safe, since the token is our own.

    After a failure it gives back what it may have acquired. Whoever abandons the flow half-way has
    to do that: `abandon`.
    """
    deadline = time.monotonic() + wanted.timeout

    def wait() -> float:
        return min(max(deadline - time.monotonic(), 0.0), LONGEST_WAIT)

    might_wait = False

    def call() -> Call:
        nonlocal might_wait
        left = wait()
        might_wait = left > 0
        query = params(timeout=left, expire=wanted.expire)
        return Call(
            "POST",
            wanted.path,
            query,
            headers({"Lock-Token": token, "Lock-Owner": wanted.owner}),
        )

    doubtful = False
    try:
        while True:
            outcome = yield from repeated(call, lambda: wait() + limits.answer, deadline)
            reply = outcome.reply
            doubtful = doubtful or outcome.doubt is not None or not is_refusal(reply)
            if reply.is_answer(200, 201):
                since = reply.granted_since(might_wait=might_wait)
                number, left = reply.granted()
                held = Held(wanted, token, number, since + left, since + wanted.expire / 3)
                if time.monotonic() > held.renew_at:
                    yield from confirm(held, limits)
                return held
            refusal = problem(reply)
            # The service may limit a wait to less than we asked for.
            if not isinstance(refusal, LockHeld) or wait() < 0.1:
                raise refusal
            yield Pause(0.05)
    except EdgelatchError as error:
        # 503 with `Retry-After`, which was repeated until the time was over.
        unknown = isinstance(error, Problem) and error.status >= 500
        if doubtful or unknown or (isinstance(error, TransportError) and error.sent):
            yield from abandon(wanted, token)
        raise


def confirm(held: Held, limits: Limits) -> Flow[None]:
    """Renews a lock of whose time much has passed, before anybody relies on it.

    The answer to its acquisition was long on its way, or waited, and does not tell how long. Only
    the service knows whether it is still held. Raises `LockLost` if it is not.
    """
    until = time.monotonic() + limits.retry
    outcome = yield from repeated(lambda: held.call("PUT"), lambda: limits.answer, until)
    held.renewed(outcome.reply)


def abandon(wanted: Wanted, token: str) -> Flow[None]:
    """Ends a wait that nobody needs, and gives back the lock if it was acquired.

    It tries at once, and goes on in the background.
    """
    call = Call("DELETE", wanted.path, {}, {"Lock-Token": token})
    answer = yield from once(call, RELEASE_LIMIT / 2)
    if isinstance(answer, Reply) and answer.status == 409:
        # The request that is abandoned may arrive after this one.
        yield Pause(0.1)
        answer = yield from once(call, RELEASE_LIMIT / 2)
    yield Later(give_back(call, answer, min(wanted.expire, GIVE_BACK_LIMIT)))


def give_back(call: Call, answer: Reply | TransportError, limit: float) -> Flow[None]:
    """Releases until there is an answer, and once more when that is settled.

    `answer` is that of the release before. An acquisition that was told 503 may reach Redis after
    the release, on another connection.
    """
    until = time.monotonic() + limit
    tries = 0
    answered = is_known(answer)
    while True:
        pause = SETTLED if is_known(answer) else backoff(tries)
        if time.monotonic() + pause >= until:
            return
        yield Pause(pause)
        left = max(until - time.monotonic(), 0.1)
        answer = yield from once(call, min(RELEASE_LIMIT / 2, left))
        if is_known(answer):
            if answered:
                return
            answered = True
        tries += 1


def is_known(answer: Reply | TransportError) -> bool:
    """Whether a release was carried out, or will never be."""
    return isinstance(answer, Reply) and (answer.is_answer(204) or is_refusal(answer))


def is_refusal(reply: Reply) -> bool:
    """Whether the service says that it did not do what was asked.

    A proxy may say anything of a request that it has passed on, and a failure of the service may
    come after the deed.
    """
    return 400 <= reply.status < 500 and problem(reply).slug != ""


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
