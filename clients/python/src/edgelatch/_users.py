"""Flows of a user: the cache, actions, read-through."""

import secrets
import time
from typing import Any

from edgelatch._flow import Flow, Limits, ask, once, repeated
from edgelatch._wire import (
    USERS,
    Call,
    UserId,
    action_result,
    encode,
    entry,
    found,
    headers,
    params,
    problem,
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
    user: UserId, expire: float | None, no_cache: bool, if_none_match: str | None, limits: Limits
) -> Flow[Entry | NotModified]:
    sent = headers(
        {"If-None-Match": if_none_match, "Cache-Control": "no-cache" if no_cache else None}
    )
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
    outcome = yield from ask(call, limits)
    if outcome.reply.status == 412 and outcome.doubtful:
        # Perhaps an earlier try did it, and its answer was lost. Then our bytes are there.
        now = (yield from ask(Call("GET", path), limits)).reply
        if now.status == 200 and now.body == body:
            return Stored(now.headers.get("etag", ""), created=if_none_match is not None)
    return stored(outcome.reply)


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
    outcome = yield from ask(call, limits)
    if outcome.reply.status != 200:
        raise doubted(problem(outcome.reply), outcome.doubtful)
    return entry(outcome.reply)


def delete(path: str, if_match: str | None, limits: Limits) -> Flow[None]:
    outcome = yield from ask(
        Call("DELETE", path, {}, headers({"If-Match": if_match})),
        limits,
    )
    if outcome.reply.status != 204:
        raise doubted(problem(outcome.reply), outcome.doubtful)


def doubted(refusal: Problem, doubtful: bool) -> Problem:
    if doubtful and refusal.status == 412:
        refusal.add_note("an earlier try, whose answer was lost, may have done it")
    return refusal


class Granted:
    """It is for this caller to compute an entry."""

    def __init__(self, path: str, token: str) -> None:
        self.path = path
        self._token = token

    def store(self, value: Any, expire: float | None, limits: Limits) -> Flow[Any]:
        """Stores what was computed. Returns the value that counts now."""
        try:
            body = encode(value)
        except (TypeError, ValueError):
            yield from self.give_up()
            raise
        sent = {"Compute-Token": self._token, "Content-Type": JSON}
        call = Call("PUT", self.path, params(expire=expire), sent, body)
        reply = (yield from ask(call, limits)).reply
        if reply.status in (200, 201):
            return value
        refusal = problem(reply)
        if not isinstance(refusal, NotLockOwner):
            yield from self.give_up()
            raise refusal
        # The time was up, or somebody stored a newer value, which is not replaced.
        newer = (yield from ask(Call("GET", self.path), limits)).reply
        return newer.json() if newer.status == 200 else value

    def give_up(self) -> Flow[None]:
        """Gives the task to the next caller. One try: it would end by itself."""
        yield from once(Call("DELETE", self.path, {}, {"Compute-Token": self._token}), 2.0)


def ask_to_compute(
    path: str, compute: float, timeout: float | None, refresh: float, limits: Limits
) -> Flow[Entry | Granted]:
    """Returns the entry, or the task of computing it."""
    query = params(compute=compute, timeout=timeout, refresh=refresh or None)
    waits = 60.0 if timeout is None else timeout
    reply = (yield from ask(Call("GET", path, query), limits, waits=waits)).reply
    token = reply.headers.get("compute-token")
    if token is not None and reply.status in (200, 404):
        return Granted(path, token)
    if reply.status == 200:
        return entry(reply)
    raise problem(reply)


def act(
    user: UserId,
    name: str,
    payload: Any,
    timeout: float | None,
    expire: float | None,
    idempotency_key: str | None,
    limits: Limits,
) -> Flow[ActionResult]:
    """An action. The idempotency key makes repeating safe: a success is told again."""
    sent = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
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
    reply = (yield from repeated(lambda: call, lambda: limit, until)).reply
    return action_result(reply)
