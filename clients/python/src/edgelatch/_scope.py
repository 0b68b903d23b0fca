"""What asyncio and trio do differently: cancelling the body of an `async with` from another task,
and nothing else; and a task that outlives the one that began it."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol

import anyio


class BodyScope(Protocol):
    """A scope that can be cancelled. `__exit__` tells whether it alone stopped the body."""

    def cancel(self) -> None: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool: ...


class _AsyncioScope:
    """As `asyncio.timeout` does it: one `cancel` for the task, taken back on exit.

    Not anyio's scope: that cancels again and again, so a body of asyncio, which expects to be
    cancelled once, could not await anything while it cleans up.
    """

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self._before = task.cancelling()
        self._cancelled = False
        self._over = False

    def cancel(self) -> None:
        if not self._over:
            self._cancelled = True
            self._task.cancel()

    def __enter__(self) -> object:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._over = True
        if not self._cancelled:
            return False
        # More cancellations than ours: somebody outside wants the task to end, too.
        only_ours = self._task.uncancel() <= self._before
        return only_ours and kind is not None and issubclass(kind, asyncio.CancelledError)


def _is_asyncio() -> bool:
    return issubclass(anyio.get_cancelled_exc_class(), asyncio.CancelledError)


_SPAWNED: set[asyncio.Future[None]] = set()
"""An event loop keeps no reference to its tasks."""


def spawn(run: Callable[[], Awaitable[None]]) -> None:
    """Runs it in a task of the event loop's own, which ends with the loop. It raises nothing."""
    if _is_asyncio():
        task = asyncio.ensure_future(run())
        _SPAWNED.add(task)
        task.add_done_callback(_SPAWNED.discard)
    else:
        import trio

        trio.lowlevel.spawn_system_task(run)


def body_scope() -> BodyScope:
    """A scope for the current task."""
    if _is_asyncio():
        task = asyncio.current_task()
        if task is not None:
            return _AsyncioScope(task)
    return _TrioScope()


class _TrioScope:
    def __init__(self) -> None:
        self._scope = anyio.CancelScope()

    def cancel(self) -> None:
        self._scope.cancel()

    def __enter__(self) -> object:
        return self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return bool(self._scope.__exit__(kind, error, trace))
