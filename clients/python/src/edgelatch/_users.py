"""Flows of a user: the cache, actions, read-through."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from edgelatch._flow import Failure, Flow, Limits, Outcome, Pause, ask, backoff, once, repeated
from edgelatch._wire import (
    USERS,
    Call,
    Reply,
    UserId,
    action_result,
    encode,
    entry,
    found,
    headers,
    params,
    problem,
    seconds,
    segment,
    stored,
)
from edgelatch.errors import NotLockOwner, PreconditionFailed, Problem
from edgelatch.results import ActionResult, Entry, NotModified, Stored

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

LONGEST_ACTION = 60.0
"""Seconds that an action may run by default (`max_hold`)."""


def user_path(user: UserId) -> str:
    return f"{USERS}/{segment(user, 'user id')}"


def cache_path(user: UserId, key: str) -> str:
    return f"{user_path(user)}/cache/{segment(key, 'cache key')}"


def get(path: str, if_none_match: str | None, limits: Limits) -> Flow[Entry | NotModified | None]:
    sent = headers({"If-None-Match": if_none_match})
    return found((yield from ask(Call("GET", path, {}, sent), limits)).reply)


def get_user(
    user: UserId,
    expire: float | None,
    no_cache: bool,
    no_store: bool,
    if_none_match: str | None,
    limits: Limits,
) -> Flow[Entry | NotModified]:
    control = [name for name, on in (("no-cache", no_cache), ("no-store", no_store)) if on]
    sent = headers({"If-None-Match": if_none_match, "Cache-Control": ", ".join(control) or None})
    call = Call("GET", user_path(user), params(expire=expire), sent)
    reply = (yield from ask(call, limits, waits=LONGEST_ACTION)).reply
    if (it := found(reply)) is None:
        raise problem(reply)
    return it


def put(
    path: str,
    value: Any,
    expire: float | None,
    if_match: str | None,
    if_none_match: str | None,
    limits: Limits,
) -> Flow[Stored]:
    body = encode(value)
    sent = {"If-Match": if_match, "If-None-Match": if_none_match, "Content-Type": JSON}
    call = Call("PUT", path, params(expire=expire), headers(sent), body)
    return stored(certain((yield from ask(call, limits))))


def compare_and_set(
    path: str, expected: str | None, value: Any, expire: float | None, limits: Limits
) -> Flow[Stored | None]:
    if_none_match = "*" if expected is None else None
    try:
        return (yield from put(path, value, expire, expected, if_none_match, limits))
    except PreconditionFailed:
        return None


def patch(
    path: str, value: Any, expire: float | None, if_match: str | None, limits: Limits
) -> Flow[Entry]:
    sent = headers({"If-Match": if_match, "Content-Type": MERGE_PATCH})
    call = Call("PATCH", path, params(expire=expire), sent, encode(value))
    return entry(certain((yield from ask(call, limits))))


def delete(path: str, if_match: str | None, limits: Limits) -> Flow[None]:
    call = Call("DELETE", path, {}, headers({"If-Match": if_match}))
    reply = certain((yield from ask(call, limits)))
    if not reply.is_answer(204):
        raise problem(reply)


def certain(outcome: Outcome) -> Reply:
    """The answer to a conditional write. Raises the failure of an earlier try if it is not known
    which of the two has changed the entry, or whether somebody else has."""
    if outcome.reply.status == 412 and outcome.doubt is not None:
        outcome.doubt.add_note("edgelatch: repeated, and then refused with 412")
        raise outcome.doubt
    return outcome.reply


class Granted:
    """It is for this caller to compute an entry. `current` is the one that is about to expire."""

    def __init__(self, path: str, token: str, current: Entry | None) -> None:
        self.path = path
        self.current = current
        self._token = token

    def store(self, value: Any, expire: float | None, limits: Limits) -> Flow[Any]:
        """Stores what was computed. Returns the value that counts now.

        Whoever abandons the flow half-way, or gets an exception, has to `give_up`.
        """
        sent = {"Compute-Token": self._token, "Content-Type": JSON}
        call = Call("PUT", self.path, params(expire=expire), sent, encode(value))
        reply = (yield from ask(call, limits)).reply
        if reply.is_answer(200, 201):
            return value
        refusal = problem(reply)
        if not isinstance(refusal, NotLockOwner):
            raise refusal
        # The time was up, or somebody stored a newer value, which is not replaced.
        newer = (yield from ask(Call("GET", self.path), limits)).reply
        return entry(newer).value if newer.is_answer(200) else value

    def value_despite(
        self, error: BaseException, on_error: Callable[[Exception], None] | None
    ) -> Any:
        """The value that there still is after computing it anew has failed. Else raises."""
        if self.current is None or not isinstance(error, Exception):
            raise error
        if on_error is not None:
            on_error(error)
        return self.current.value

    def give_up(self) -> Flow[None]:
        """Gives the task to the next caller."""
        yield from give_up(self.path, self._token)


def ask_to_compute(
    path: str,
    compute: float,
    timeout: float | None,
    refresh: float,
    expire: float | None,
    limits: Limits,
) -> Flow[Entry | Granted]:
    """Returns the entry, or the task of computing it. `expire` is that of the result."""
    # Not when the value is there, and can be kept nowhere.
    params(expire=expire)
    query = {"compute": seconds(compute, "compute"), **params(timeout=timeout)}
    if seconds(refresh, "refresh") != "0":
        query["refresh"] = seconds(refresh, "refresh")
    waits = 60.0 if timeout is None else timeout
    reply = (yield from ask(Call("GET", path, query), limits, waits=waits)).reply
    token = reply.headers.get("compute-token")
    if token is None:
        return entry(reply)
    try:
        return Granted(path, token, None if reply.is_answer(404) else entry(reply))
    except Problem:
        # A proxy has changed the answer, and the task is ours all the same.
        yield from give_up(path, token)
        raise


def give_up(path: str, token: str) -> Flow[None]:
    """Gives a task to the next caller. One try: it would end by itself."""
    try:
        sent = headers({"Compute-Token": token})
    except ValueError:
        # None of the service.
        return
    yield from once(Call("DELETE", path, {}, sent), 2.0)


def act(
    user: UserId,
    name: str,
    payload: Any,
    timeout: float | None,
    expire: float | None,
    idempotency_key: str | None,
    limits: Limits,
) -> Flow[ActionResult]:
    """An action. The idempotency key makes repeating safe: a success is told again.

    While it is unknown what became of a try, "somebody has the lock" is no answer: that may be this
    very action.
    """
    key = secrets.token_hex(16) if idempotency_key is None else idempotency_key
    sent = headers({"Idempotency-Key": key})
    body = None
    if payload is not None:
        sent["Content-Type"] = JSON
        body = encode(payload)
    query = {"user_id": str(user), **params(timeout=timeout, expire=expire)}
    segment(user, "user id")
    waits = (5.0 if timeout is None else timeout) + max(LONGEST_ACTION, expire or 0.0)
    call = Call("POST", f"{USERS}/{name}", query, sent, body)
    limit = limits.answer + waits
    until = time.monotonic() + limits.retry + (timeout or 0.0)
    doubt: Failure | None = None
    tries = 0
    while True:
        outcome = yield from repeated(lambda: call, lambda: limit, until)
        doubt = outcome.doubt or doubt
        if doubt is None or not is_busy(outcome.reply):
            return action_result(outcome.reply)
        pause = backoff(tries)
        if time.monotonic() + pause >= until:
            raise doubt
        yield Pause(pause)
        tries += 1


def is_busy(reply: Reply) -> bool:
    """Whether an action did not run because somebody has the lock."""
    return reply.status == 423 or (reply.status == 200 and not action_result(reply).succeeded)
