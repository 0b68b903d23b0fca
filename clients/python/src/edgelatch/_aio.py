"""The async client, for asyncio and trio."""

import inspect
import time
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import anyio
import anyio.to_thread
import httpx

from edgelatch import _acquiring, _locking, _users
from edgelatch._flow import Flow, Later, Limits, Pause, Step
from edgelatch._locking import Held, Wanted
from edgelatch._scope import BodyScope, body_scope, spawn
from edgelatch._sync import no_answer, transport_error
from edgelatch._wire import Reply, service_at
from edgelatch.errors import TransportError
from edgelatch.results import ActionResult, Entry, LockStatus, NotModified, Stored

T = TypeVar("T")


class AsyncClient:
    """A client of one service. Tasks may share it. Close it, or use it as a context manager.

    `token` is the service's `api_token`. `answer_limit` bounds an answer, besides what it is asked
    to wait for; `retry_limit` bounds how long failed calls are repeated; both in seconds. `http`
    brings an `httpx.AsyncClient` of your own, which stays yours to close.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:9001",
        *,
        token: str | None = None,
        answer_limit: float = 10.0,
        retry_limit: float = 5.0,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._url, self._authorization = service_at(url, token)
        self._limits = Limits(answer_limit, retry_limit)
        self._owns_http = http is None
        # Whoever waits for a lock has a connection meanwhile, so their number has no bound here.
        bounds = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        self._http = http or httpx.AsyncClient(limits=bounds)
        self._background: set[anyio.Event] = set()

    def __repr__(self) -> str:
        return "AsyncClient()"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections. Before that it waits, ten seconds at the most, for locks that are
        being given back after a failed acquisition."""
        with anyio.move_on_after(_acquiring.GIVE_BACK_LIMIT):
            for ended in tuple(self._background):
                await ended.wait()
        if self._owns_http:
            await self._http.aclose()

    def user(self, user_id: int | str | uuid.UUID) -> "AsyncUser":
        """A user of the application. Sends nothing."""
        return AsyncUser(self, user_id)

    async def _run(self, flow: Flow[T]) -> T:
        answer: Reply | TransportError | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            answer = await self._carry_out(step)

    async def _carry_out(self, step: Step) -> Reply | TransportError | None:
        if isinstance(step, Pause):
            await anyio.sleep(step.seconds)
            return None
        if isinstance(step, Later):
            self._run_in_background(step.flow)
            return None
        call = step.call
        sent = time.monotonic()
        # httpx bounds each phase, not their sum.
        with anyio.move_on_after(step.limit):
            try:
                response = await self._http.request(
                    call.method,
                    self._url + call.path,
                    params=call.params,
                    headers=self._authorization | call.headers,
                    content=call.body,
                    timeout=step.limit,
                )
            except httpx.RequestError as error:
                return transport_error(call.method, call.path, error)
            return Reply.of(response, response.content, sent)
        return no_answer(step)

    def _run_in_background(self, flow: Flow[None]) -> None:
        ended = anyio.Event()
        self._background.add(ended)

        async def run() -> None:
            try:
                await self._run(flow)
            except Exception:  # noqa: S110 - a client that was closed, say: the lock expires
                pass
            finally:
                ended.set()
                self._background.discard(ended)

        spawn(run)

    async def _last_call(self, flow: Flow[None]) -> None:
        """What has to be sent although the task is cancelled. The flow bounds it."""
        with anyio.CancelScope(shield=True):
            await self._run(flow)


class AsyncUser:
    """One user: locks, cache and actions."""

    def __init__(self, client: AsyncClient, user_id: int | str | uuid.UUID) -> None:
        _users.user_path(user_id)
        self._client = client
        self._id = user_id
        self.cache = AsyncCache(client, user_id)
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
    ) -> "AsyncLock":
        """A lock: the user's own, which actions take, or the one with that name.

        `timeout` is how long to wait for it, `expire` after how long without a renewal it is free
        again, both in seconds. `owner` tells others who has it and why.
        """
        return AsyncLock(self._client, Wanted(self._id, name, timeout, expire, owner))

    async def get(
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
        return await self._client._run(
            _users.get_user(
                self._id, expire, no_cache, no_store, if_none_match, self._client._limits
            )
        )

    async def perform_action(
        self,
        input: Any = None,
        *,
        timeout: float | None = None,
        expire: float | None = None,
        idempotency_key: str | None = None,
    ) -> ActionResult:
        """Runs the action under the user's lock. Raises `LockHeld` if it is not free in time."""
        return await self._act("perform-action", input, timeout, expire, idempotency_key)

    async def attempt_action(
        self, input: Any = None, *, expire: float | None = None, idempotency_key: str | None = None
    ) -> ActionResult:
        """Runs the action if the user's lock is free: `succeeded` says whether it was."""
        return await self._act("attempt-action", input, None, expire, idempotency_key)

    async def _act(
        self, name: str, value: Any, timeout: float | None, expire: float | None, key: str | None
    ) -> ActionResult:
        return await self._client._run(
            _users.act(self._id, name, value, timeout, expire, key, self._client._limits)
        )


class AsyncLock:
    """A lock of a user. As an async context manager it is held, and renewed in the background.

    If the lock is lost, the body is cancelled, and `LockLost` raised from the `async with`.
    """

    def __init__(self, client: AsyncClient, wanted: Wanted) -> None:
        self._client = client
        self._wanted = wanted
        self._holding: _Holding | None = None

    def __repr__(self) -> str:
        return f"AsyncLock({self._wanted})"

    async def __aenter__(self) -> "AsyncLease":
        if self._holding is not None:
            raise RuntimeError("an AsyncLock is entered once at a time: make one for each `with`")
        self._holding = _Holding(self)
        try:
            return await self._holding.begin()
        except BaseException:
            self._holding = None
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        holding, self._holding = self._holding, None
        return holding is not None and await holding.end(kind, error, trace)

    async def acquire(self) -> "AsyncLease":
        """Acquires the lock and does not renew it. Raises `LockHeld` after `timeout`."""
        token = _acquiring.new_token()
        try:
            flow = _acquiring.acquire(self._wanted, token, self._client._limits)
            return AsyncLease(self._client, await self._client._run(flow))
        except Exception:
            raise
        except BaseException:
            # Cancelled. The request may still wait, or have acquired the lock.
            await self._client._last_call(_acquiring.abandon(self._wanted, token))
            raise

    async def status(self) -> LockStatus:
        """Whether it is held, and by whom."""
        return await self._client._run(_locking.status(self._wanted, self._client._limits))

    async def watch(self, wait: float = 30.0, after: int | None = None) -> LockStatus:
        """Its status once it is free, or has another fencing token than `after`; or after `wait`
        seconds."""
        return await self._client._run(
            _locking.watch(self._wanted, wait, after, self._client._limits)
        )

    async def force_release(self, admin_token: str) -> None:
        """Takes it from whoever holds it.

        It is sent once. After `TransportError`, `RedisUnavailable`, or a `Problem` without a `slug`
        (502, 503 or 504 of a proxy, say) it may have been taken or not: look at `status()` before
        you try again, or the next holder may lose it.
        """
        await self._client._run(
            _locking.force_release(self._wanted, admin_token, self._client._limits)
        )

    break_ = force_release


class AsyncLease:
    """A lock that is held."""

    def __init__(self, client: AsyncClient, held: Held) -> None:
        self._client = client
        self._held = held

    def __repr__(self) -> str:
        return f"AsyncLease({self._held.wanted}, fencing_token={self.fencing_token})"

    @property
    def fencing_token(self) -> int:
        """Greater than that of every earlier holder. Give it to the store that you write to."""
        return self._held.fencing_token

    @property
    def expires_in(self) -> float:
        """Seconds until the lock expires, unless it is renewed."""
        return max(self._held.left(), 0.0)

    def check(self) -> None:
        """Raises `LockLost` if the lock is lost."""
        self._held.check()

    async def renew(self) -> None:
        """Renews the lock. Not needed in an `async with` statement."""
        await self._client._run(_locking.renew(self._held, self._client._limits))

    async def release(self) -> None:
        """Gives the lock back, also in a cancelled task. Raises `LockLost` if it was lost."""
        await self._client._last_call(_locking.release(self._held))


class _Holding:
    """A body under a lock, and the task that renews the lock."""

    def __init__(self, lock: AsyncLock) -> None:
        self._lock = lock
        self._tasks = anyio.create_task_group()

    async def begin(self) -> AsyncLease:
        self._lease = await self._lock.acquire()
        await self._tasks.__aenter__()
        self._body: BodyScope = body_scope()
        self._body.__enter__()
        self._tasks.start_soon(self._keep)
        return self._lease

    async def _keep(self) -> None:
        try:
            await self._lease._client._run(_locking.keep(self._lease._held))
        except Exception as error:
            self._lease._held.cannot_renew(error)
            self._body.cancel()

    async def end(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        stopped_by_us = self._body.__exit__(kind, error, trace)
        try:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
        finally:
            failure = await self._give_back()
        if error is None or stopped_by_us:
            if failure is not None:
                raise failure
        elif failure not in (None, error):
            error.add_note(f"edgelatch: {failure}")
        return False

    async def _give_back(self) -> Exception | None:
        try:
            await self._lease.release()
        except Exception as failure:
            return failure
        return None


class AsyncCache:
    """The JSON cache of a user."""

    def __init__(self, client: AsyncClient, user_id: int | str | uuid.UUID) -> None:
        self._client = client
        self._user = user_id

    def __repr__(self) -> str:
        return f"Cache({self._user!r})"

    @overload
    async def get(self, key: str) -> Entry | None: ...
    @overload
    async def get(self, key: str, *, if_none_match: str) -> Entry | NotModified | None: ...
    async def get(
        self, key: str, *, if_none_match: str | None = None
    ) -> Entry | NotModified | None:
        """The entry; None if there is none; `NotModified` if it has the tag `if_none_match`."""
        return await self._run(_users.get(self._path(key), if_none_match, self._client._limits))

    async def set(
        self,
        key: str,
        value: Any,
        *,
        expire: float | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> Stored:
        """Stores a value. Raises `PreconditionFailed` if a condition does not hold."""
        return await self._run(
            _users.put(
                self._path(key), value, expire, if_match, if_none_match, self._client._limits
            )
        )

    async def compare_and_set(
        self, key: str, expected: str | None, value: Any, *, expire: float | None = None
    ) -> Stored | None:
        """Stores a value if the entry's tag is still `expected`; None: if there is no entry.

        Returns None, and stores nothing, if it is another.
        """
        return await self._run(
            _users.compare_and_set(self._path(key), expected, value, expire, self._client._limits)
        )

    async def patch(
        self, key: str, patch: Any, *, expire: float | None = None, if_match: str | None = None
    ) -> Entry:
        """Merges a patch (RFC 7396) into the entry.

        Raises `NotFound` if there is none, and `EntryContended` if others kept changing it.
        """
        return await self._run(
            _users.patch(self._path(key), patch, expire, if_match, self._client._limits)
        )

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Removes the entry, whether or not there is one."""
        await self._run(_users.delete(self._path(key), if_match, self._client._limits))

    @overload
    async def get_or_compute(
        self,
        key: str,
        fn: Callable[[], Awaitable[T]],
        *,
        compute: float = 10.0,
        timeout: float | None = None,
        refresh: float = 0.0,
        expire: float | None = None,
        on_refresh_error: Callable[[Exception], None] | None = None,
    ) -> T: ...
    @overload
    async def get_or_compute(
        self,
        key: str,
        fn: Callable[[], T],
        *,
        compute: float = 10.0,
        timeout: float | None = None,
        refresh: float = 0.0,
        expire: float | None = None,
        on_refresh_error: Callable[[Exception], None] | None = None,
    ) -> T: ...
    async def get_or_compute(
        self,
        key: str,
        fn: Callable[[], Any],
        *,
        compute: float = 10.0,
        timeout: float | None = None,
        refresh: float = 0.0,
        expire: float | None = None,
        on_refresh_error: Callable[[Exception], None] | None = None,
    ) -> Any:
        """The entry's value. If there is none, one of all callers calls `fn`; the others wait.

        `compute`: how many seconds `fn` takes at the most. `timeout`: how long to wait for another
        caller's result; then `LockHeld`. `refresh`: in the last seconds before the expiry one
        caller computes the value anew. If `fn` raises, or is cancelled, the next caller gets the
        task; if there still is a value, it is returned, and `on_refresh_error` called. An `fn` that
        is no coroutine function runs in a worker thread.
        """
        limits = self._client._limits
        task = await self._run(
            _users.ask_to_compute(self._path(key), compute, timeout, refresh, expire, limits)
        )
        if isinstance(task, Entry):
            return task.value
        try:
            return await self._run(task.store(await _call(fn), expire, limits))
        except BaseException as error:
            await self._client._last_call(task.give_up())
            return task.value_despite(error, on_refresh_error)

    def _path(self, key: str) -> str:
        return _users.cache_path(self._user, key)

    async def _run(self, flow: Flow[T]) -> T:
        return await self._client._run(flow)


async def _call(fn: Callable[[], Any]) -> Any:
    if inspect.iscoroutinefunction(fn):
        return await fn()
    # It may take long, and renewals of locks go on meanwhile.
    result = await anyio.to_thread.run_sync(fn)
    return await result if inspect.isawaitable(result) else result
