"""Flows that acquire a lock, and give back one that may have been acquired."""

import secrets
import time

from edgelatch._flow import Flow, Later, Limits, Pause, backoff, once, repeated
from edgelatch._locking import RELEASE_LIMIT, Held, Wanted
from edgelatch._wire import Call, Reply, headers, params, problem
from edgelatch.errors import EdgelatchError, LockHeld, Problem, TransportError

LONGEST_WAIT = 60.0
"""Seconds that the service lets one request wait."""

GIVE_BACK_LIMIT = 10.0
"""Seconds for which a client tries to give back what it may have acquired."""

SETTLED = 2.0
"""Seconds after which Redis has carried out all that came before a release: `redis_timeout`, which
is 1 by default, and one more."""


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
                if time.monotonic() > min(held.renew_at, held.expires_at):
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
    # What is answered after `expire` is over by then.
    limit = min(limits.answer, max(held.wanted.expire, 0.1))
    outcome = yield from repeated(lambda: held.call("PUT"), lambda: limit, until)
    held.renewed(outcome.reply)
    # This answer may have been long on its way, too.
    held.check()


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
