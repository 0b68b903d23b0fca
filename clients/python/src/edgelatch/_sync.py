"""The sync client."""

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import httpx

from edgelatch import _acquiring, _locking, _users
from edgelatch._flow import Flow, Later, Limits, Pause, Send, Step
from edgelatch._locking import Held, Wanted
from edgelatch._wire import Reply, service_at
from edgelatch.errors import LockLost, TransportError
from edgelatch.results import ActionResult, Entry, LockStatus, NotModified, Stored

T = TypeVar("T")


MOST_IN_BACKGROUND = 64
"""Threads of a client that give locks back. In an outage, locks beyond that expire instead."""


class Client:
    """A client of one service. Threads may share it. Close it, or use it as a context manager.

    `token` is the service's `api_token`. `answer_limit` bounds an answer, besides what it is asked
    to wait for; `retry_limit` bounds how long failed calls are repeated; both in seconds. `http`
    brings an `httpx.Client` of your own, which stays yours to close.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:9001",
        *,
        token: str | None = None,
        answer_limit: float = 10.0,
        retry_limit: float = 5.0,
        http: httpx.Client | None = None,
    ) -> None:
        self._url, self._authorization = service_at(url, token)
        self._limits = Limits(answer_limit, retry_limit)
        self._owns_http = http is None
        # Whoever waits for a lock has a connection meanwhile, so their number has no bound here.
        bounds = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self._http = http or httpx.Client(limits=bounds)
        self._background: list[threading.Thread] = []

    def __repr__(self) -> str:
        return "Client()"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. Before that it waits, ten seconds at the most, for locks that are
        being given back after a failed acquisition."""
        end = time.monotonic() + _acquiring.GIVE_BACK_LIMIT
        for thread in self._background:
            thread.join(max(end - time.monotonic(), 0))
        if self._owns_http:
            self._http.close()

    def user(self, user_id: int | str | uuid.UUID) -> "User":
        """A user of the application. Sends nothing."""
        return User(self, user_id)

    def _run(self, flow: Flow[T]) -> T:
        return self._drive(flow, lambda step: self._carry_out(step, time.sleep))

    def _run_in_time(self, flow: Flow[T], pause: Callable[[float], None]) -> T:
        """For what is late if an answer trickles in. It costs a thread for each request."""
        return self._drive(flow, lambda step: self._carry_out_in_time(step, pause))

    def _run_in_background(self, flow: Flow[None]) -> None:
        def run() -> None:
            # A client that was closed meanwhile, say. The lock expires.
            with contextlib.suppress(Exception):
                self._run(flow)

        alive = [thread for thread in self._background if thread.is_alive()]
        if len(alive) < MOST_IN_BACKGROUND:
            # No daemon: a program that ends waits for it. Else nobody would give the lock back.
            thread = threading.Thread(target=run, name="edgelatch-give-back")
            # An interpreter that is shutting down starts none.
            with contextlib.suppress(RuntimeError):
                thread.start()
                alive.append(thread)
        self._background = alive

    def _drive(
        self, flow: Flow[T], carry_out: Callable[[Step], Reply | TransportError | None]
    ) -> T:
        answer: Reply | TransportError | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = carry_out(step)

    def _carry_out(
        self, step: Step, pause: Callable[[float], None]
    ) -> Reply | TransportError | None:
        if isinstance(step, Pause):
            pause(step.seconds)
            return None
        if isinstance(step, Later):
            self._run_in_background(step.flow)
            return None
        call = step.call
        sent = time.monotonic()
        try:
            with self._http.stream(
                call.method,
                self._url + call.path,
                params=call.params,
                headers=self._authorization | call.headers,
                content=call.body,
                # httpx bounds each phase and each read, not their sum. Connecting and waiting for
                # the head are the two that may hang.
                timeout=httpx.Timeout(step.limit, connect=step.limit / 2),
            ) as response:
                body = bytearray()
                for piece in response.iter_bytes():
                    if body and time.monotonic() - sent > step.limit:
                        return no_answer(step)
                    body += piece
                return Reply.of(response, bytes(body), sent)
        except httpx.RequestError as error:
            return transport_error(call.method, call.path, error)

    def _carry_out_in_time(
        self, step: Step, pause: Callable[[float], None]
    ) -> Reply | TransportError | None:
        """The same, but an answer that is not there in time is waited for no longer, whatever
        arrives of it. Its thread ends by itself."""
        if not isinstance(step, Send):
            return self._carry_out(step, pause)
        answers: queue.SimpleQueue[Reply | TransportError | Exception | None] = queue.SimpleQueue()

        def send() -> None:
            try:
                answers.put(self._carry_out(step, pause))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=send, name="edgelatch-request", daemon=True).start()
        try:
            answer = answers.get(timeout=step.limit)
        except queue.Empty:
            return no_answer(step)
        if isinstance(answer, Exception) and not isinstance(answer, TransportError):
            raise answer
        return answer


def no_answer(step: Send) -> TransportError:
    """Says that the answer took too long."""
    call = step.call
    what = f"{call.method} {call.path}: no answer in {step.limit:.3g} s"
    return TransportError(what, timed_out=True)


TELLING = (
    httpx.NetworkError,
    httpx.ProxyError,
    httpx.RemoteProtocolError,
    httpx.TimeoutException,
)
"""Errors whose text is about the network or the other side. That of others may quote a header."""


def transport_error(method: str, path: str, error: httpx.RequestError) -> TransportError:
    """Says what failed, without the headers, which httpx keeps in its exception."""
    timed_out = isinstance(error, httpx.TimeoutException)
    what = f"{method} {path}: {type(error).__name__}"
    text = str(error) if isinstance(error, TELLING) else ""
    # Without a connection nothing was sent.
    sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    return TransportError(f"{what}: {text}" if text else what, timed_out=timed_out, sent=sent)


class User:
    """One user: locks, cache and actions."""

    def __init__(self, client: Client, user_id: int | str | uuid.UUID) -> None:
        _users.user_path(user_id)
        self._client = client
        self._id = user_id
        self.cache = Cache(client, user_id)
        """The user's JSON cache."""

    def __repr__(self) -> str:
        return f"User({self._id!r})"

    def lock(
        self,
        name: str | None = None,
        *,
        timeout: float = 0.0,
        expire: float = 10.0,
        owner: str | None = None,
        on_lost: "Callable[[Lease], None] | None" = None,
    ) -> "Lock":
        """A lock: the user's own, which actions take, or the one with that name.

        `timeout` is how long to wait for it, `expire` after how long without a renewal it is free
        again, both in seconds. `owner` tells others who has it and why. `on_lost` is called in the
        renewing thread.
        """
        return Lock(self._client, Wanted(self._id, name, timeout, expire, owner), on_lost)

    def get(
        self,
        *,
        expire: float | None = None,
        no_cache: bool = False,
        no_store: bool = False,
        if_none_match: str | None = None,
    ) -> Entry | NotModified:
        """The user's JSON from the service's origin, through its cache.

        `no_cache` reads it from the origin anyway; with `no_store` what is read is not kept.
        """
        return self._client._run(
            _users.get_user(
                self._id, expire, no_cache, no_store, if_none_match, self._client._limits
            )
        )

    def perform_action(
        self,
        input: Any = None,
        *,
        timeout: float | None = None,
        expire: float | None = None,
        idempotency_key: str | None = None,
    ) -> ActionResult:
        """Runs the action under the user's lock. Raises `LockHeld` if it is not free in time."""
        return self._act("perform-action", input, timeout, expire, idempotency_key)

    def attempt_action(
        self, input: Any = None, *, expire: float | None = None, idempotency_key: str | None = None
    ) -> ActionResult:
        """Runs the action if the user's lock is free: `succeeded` says whether it was."""
        return self._act("attempt-action", input, None, expire, idempotency_key)

    def _act(
        self, name: str, value: Any, timeout: float | None, expire: float | None, key: str | None
    ) -> ActionResult:
        return self._client._run(
            _users.act(self._id, name, value, timeout, expire, key, self._client._limits)
        )


class Lock:
    """A lock of a user. As a context manager it is held, and renewed in a thread meanwhile.

    A sync body cannot be interrupted: where the lock is lost, `lease.lost` is set, `lease.check()`
    raises `LockLost`, and so does the end of the `with` statement.
    """

    def __init__(
        self, client: Client, wanted: Wanted, on_lost: "Callable[[Lease], None] | None"
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._on_lost = on_lost
        self._held: Lease | None = None

    def __repr__(self) -> str:
        return f"Lock({self._wanted})"

    def __enter__(self) -> "Lease":
        if self._held is not None:
            raise RuntimeError("a Lock is entered once at a time: make one for each `with`")
        self._held = self.acquire()
        self._held._start(self._on_lost)
        return self._held

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lease, self._held = self._held, None
        if lease is None:
            return
        try:
            lease.release()
        except Exception as failure:
            if error is None:
                raise
            if error is failure:
                return
            error.add_note(f"edgelatch: {failure}")

    def acquire(self) -> "Lease":
        """Acquires the lock and does not renew it. Raises `LockHeld` after `timeout`."""
        token = _acquiring.new_token()
        try:
            return Lease(
                self._client,
                self._client._run(_acquiring.acquire(self._wanted, token, self._client._limits)),
            )
        except Exception:
            raise
        except BaseException:
            # Ctrl-C, say. The request may still wait, or have acquired the lock.
            self._client._run(_acquiring.abandon(self._wanted, token))
            raise

    def status(self) -> LockStatus:
        """Whether it is held, and by whom."""
        return self._client._run(_locking.status(self._wanted, self._client._limits))

    def watch(self, wait: float = 30.0, after: int | None = None) -> LockStatus:
        """Its status once it is free, or has another fencing token than `after`; or after `wait`
        seconds."""
        return self._client._run(
            _locking.watch(self._wanted, wait, after, self._client._limits),
        )

    def force_release(self, admin_token: str) -> None:
        """Takes it from whoever holds it.

        It is sent once. After `TransportError`, `RedisUnavailable`, or a `Problem` without a `slug`
        (502, 503 or 504 of a proxy, say) it may have been taken or not: look at `status()` before
        you try again, or the next holder may lose it.
        """
        self._client._run(
            _locking.force_release(self._wanted, admin_token, self._client._limits),
        )

    break_ = force_release


class Lease:
    """A lock that is held."""

    def __init__(self, client: Client, held: Held) -> None:
        self._client = client
        self._held = held
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = threading.Event()
        """Set as soon as the lock is known to be lost."""

    def __repr__(self) -> str:
        return f"Lease({self._held.wanted}, fencing_token={self.fencing_token})"

    @property
    def fencing_token(self) -> int:
        """Greater than that of every earlier holder. Give it to the store that you write to."""
        return self._held.fencing_token

    @property
    def expires_in(self) -> float:
        """Seconds until the lock expires, unless it is renewed."""
        return max(self._held.left(), 0.0)

    def check(self) -> None:
        """Raises `LockLost` if the lock is lost. Call it before each step of long work."""
        try:
            self._held.check()
        except LockLost:
            self.lost.set()
            raise

    def renew(self) -> None:
        """Renews the lock. Not needed in a `with` statement."""
        try:
            self._client._run(_locking.renew(self._held, self._client._limits))
        except LockLost:
            self.lost.set()
            raise

    def release(self) -> None:
        """Gives the lock back. Raises `LockLost` if it was lost before."""
        self._ended.set()
        if self._thread is not None:
            # A renewal on its way does no harm: it is refused after the release.
            self._thread.join(timeout=0.5)
        try:
            self._client._run(_locking.release(self._held))
        except LockLost:
            self.lost.set()
            raise

    def _start(self, on_lost: "Callable[[Lease], None] | None") -> None:
        # A daemon: a process that ends does not wait for its locks.
        self._thread = threading.Thread(
            target=self._keep, args=(on_lost,), name="edgelatch-renewal", daemon=True
        )
        self._thread.start()

    def _keep(self, on_lost: "Callable[[Lease], None] | None") -> None:
        def pause(seconds: float) -> None:
            if self._ended.wait(seconds):
                raise _EndedError

        try:
            self._client._run_in_time(_locking.keep(self._held), pause)
        except _EndedError:
            return
        except Exception as error:
            if self._ended.is_set():
                return
            self._held.cannot_renew(error)
            self.lost.set()
            if on_lost is not None:
                on_lost(self)


class _EndedError(Exception):
    """The lease ended while its renewal paused."""


class Cache:
    """The JSON cache of a user."""

    def __init__(self, client: Client, user_id: int | str | uuid.UUID) -> None:
        self._client = client
        self._user = user_id

    def __repr__(self) -> str:
        return f"Cache({self._user!r})"

    @overload
    def get(self, key: str) -> Entry | None: ...
    @overload
    def get(self, key: str, *, if_none_match: str) -> Entry | NotModified | None: ...
    def get(self, key: str, *, if_none_match: str | None = None) -> Entry | NotModified | None:
        """The entry; None if there is none; `NotModified` if it has the tag `if_none_match`."""
        return self._run(_users.get(self._path(key), if_none_match, self._client._limits))

    def set(
        self,
        key: str,
        value: Any,
        *,
        expire: float | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Stored:
        """Stores a value. Raises `PreconditionFailed` if a condition does not hold."""
        return self._run(
            _users.put(
                self._path(key), value, expire, if_match, if_none_match, self._client._limits
            )
        )

    def compare_and_set(
        self, key: str, expected: str | None, value: Any, *, expire: float | None = None
    ) -> Stored | None:
        """Stores a value if the entry's tag is still `expected`; None: if there is no entry.

        Returns None, and stores nothing, if it is another.
        """
        return self._run(
            _users.compare_and_set(self._path(key), expected, value, expire, self._client._limits)
        )

    def patch(
        self, key: str, patch: Any, *, expire: float | None = None, if_match: str | None = None
    ) -> Entry:
        """Merges a patch (RFC 7396) into the entry.

        Raises `NotFound` if there is none, and `EntryContended` if others kept changing it.
        """
        return self._run(
            _users.patch(self._path(key), patch, expire, if_match, self._client._limits)
        )

    def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Removes the entry, whether or not there is one."""
        self._run(_users.delete(self._path(key), if_match, self._client._limits))

    def get_or_compute(
        self,
        key: str,
        fn: Callable[[], T],
        *,
        compute: float = 10.0,
        timeout: float | None = None,
        refresh: float = 0.0,
        expire: float | None = None,
        on_refresh_error: Callable[[Exception], None] | None = None,
    ) -> T:
        """The entry's value. If there is none, one of all callers calls `fn`; the others wait.

        `compute`: how many seconds `fn` takes at the most. `timeout`: how long to wait for another
        caller's result; then `LockHeld`. `refresh`: in the last seconds before the expiry one
        caller computes the value anew. If `fn` raises, the next caller gets the task; if there
        still is a value, it is returned, and `on_refresh_error` called.
        """
        limits = self._client._limits
        task = self._run(
            _users.ask_to_compute(self._path(key), compute, timeout, refresh, expire, limits)
        )
        if isinstance(task, Entry):
            found: T = task.value
            return found
        try:
            stored: T = self._run(task.store(fn(), expire, limits))
        except BaseException as error:
            self._run(task.give_up())
            current: T = task.value_despite(error, on_refresh_error)
            return current
        return stored

    def _path(self, key: str) -> str:
        return _users.cache_path(self._user, key)

    def _run(self, flow: Flow[T]) -> T:
        return self._client._run(flow)
