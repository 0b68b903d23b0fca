"""`RedisClient` of the FastAPI service that edgelatch replaces, over edgelatch.

The same methods with the same arguments, so that the service changes one import. A key belongs to
a user:

| key                       | as a lock                | as a value               |
|---------------------------|--------------------------|--------------------------|
| `user:42:lock`            | the user's own lock      | refused                  |
| `user:42:lock:nightly`    | the user's lock `nightly`| entry `lock:nightly`     |
| `user:42:lock:`           | refused                  | entry `lock:`            |
| `user:42:report`          | the user's lock `report` | entry `report`           |
| `user:42:cache:report`    | lock `cache:report`      | entry `cache:report`     |
| anything else             | a lock of `shared_user`  | an entry of `shared_user`|

Without a `shared_user`, a key that belongs to no user is refused with `ValueError`.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx

from edgelatch import _locking
from edgelatch._aio import AsyncClient, AsyncLease, AsyncUser
from edgelatch._wire import service_at
from edgelatch.errors import EdgelatchError, LockHeld, LockLost

_OURS: ContextVar[dict[tuple[int, str], AsyncLease]] = ContextVar("edgelatch_leases")
"""The leases that the current task has acquired, by client and key."""

_KEY = re.compile(r"user:([^:]+):(.+)", re.DOTALL)


class RedisClient:
    """The original's class. `connect` and `close` are optional, as its pool's were.

    `url` is that of the service, by default `EDGELATCH_URL` or `http://127.0.0.1:9001`; `token` is
    its `api_token`, by default `EDGELATCH_API_TOKEN`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        shared_user: int | str | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = url or os.environ.get("EDGELATCH_URL") or "http://127.0.0.1:9001"
        if not isinstance(self._url, str) or not self._url.startswith(("http://", "https://")):
            # Without the URL: that of a Redis may hold a password.
            raise ValueError("RedisClient takes the http:// or https:// URL of edgelatch")
        self._token = os.environ.get("EDGELATCH_API_TOKEN") or None if token is None else token
        service_at(self._url, self._token)
        self._shared_user = shared_user
        self._http = http
        self._client: AsyncClient | None = None
        self._leases: dict[str, AsyncLease] = {}

    def __repr__(self) -> str:
        return "RedisClient()"

    async def connect(self) -> None:
        """Opens the pool of connections. The first call does it, too."""
        self._connected()

    async def close(self) -> None:
        """Closes the pool."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get(self, key: str) -> Any:
        """The value under a key; None if there is none."""
        user, name = self._place(key, lock=False)
        entry = await user.cache.get(name)
        return None if entry is None else entry.value

    async def set(self, key: str, value: Any, expire: int = 3600) -> None:
        """Stores a value for `expire` seconds: any JSON; bytes are taken for UTF-8."""
        user, name = self._place(key, lock=False)
        if isinstance(value, bytes):
            value = value.decode()
        await user.cache.set(name, value, expire=expire)

    async def delete(self, key: str) -> None:
        """Removes the value under a key."""
        user, name = self._place(key, lock=False)
        await user.cache.delete(name)

    @asynccontextmanager
    async def lock(self, key: str, expire: int = 10) -> AsyncIterator[AsyncLease]:
        """Holds a lock while the body runs. Raises `LockHeld` if it is not free.

        Unlike the original's, it is renewed meanwhile; and if it is lost, the body is cancelled and
        `LockLost` raised.
        """
        user, name = self._place(key, lock=True)
        async with user.lock(name or None, expire=expire) as lease:
            yield lease

    async def try_acquire_lock(self, key: str, expire: int = 10) -> str | None:
        """Tries once. Returns the lock's token, or None. The lock is not renewed."""
        return await self.acquire_lock_with_timeout(key, 0, expire)

    async def acquire_lock_with_timeout(
        self, key: str, timeout: float, expire: int = 10
    ) -> str | None:
        """Waits up to `timeout` seconds. Returns the lock's token, or None if it was not had.

        A time that is over, below 0, is one try, as it was in the original. What is no time is
        refused with `ValueError`.
        """
        user, name = self._place(key, lock=True)
        wait = max(timeout, 0) if isinstance(timeout, (int, float)) else timeout
        try:
            lease = await user.lock(name or None, timeout=wait, expire=expire).acquire()
        except (LockHeld, LockLost):
            # Lost: it had ended when the answer came.
            return None
        self._leases[key] = lease
        _OURS.set({**_OURS.get({}), (id(self), key): lease})
        return lease._held.token

    async def release_lock(self, key: str, token: str | None = None) -> bool:
        """Releases a lock: the one of this token, whichever client has acquired it; without a token
        the one that this task acquired, or else the one that this client acquired last.

        Returns whether it was still held. A lock that was lost is left to whoever has it now.
        """
        user, name = self._place(key, lock=True)
        ours = _OURS.get({})
        known = (ours.get((id(self), key)), self._leases.get(key))
        lease = next((it for it in known if it and token in (None, it._held.token)), None)
        if lease is None and token is not None:
            lock = user.lock(name or None)
            flow = _locking.release_by(lock._wanted, token, lock._client._limits)
            return await lock._client._run(flow)
        if lease is None or lease._held.released:
            return False
        if self._leases.get(key) is lease:
            del self._leases[key]
        _OURS.set({name: it for name, it in ours.items() if it is not lease})
        try:
            await lease.release()
        except LockLost:
            return False
        return True

    def _connected(self) -> AsyncClient:
        if self._client is None:
            self._client = AsyncClient(self._url, token=self._token, http=self._http)
        return self._client

    def _place(self, key: str, *, lock: bool) -> tuple[AsyncUser, str]:
        """Whose key it is, and the name of the lock or entry. Empty: the user's own lock."""
        found = _KEY.fullmatch(key)
        if found is None:
            if self._shared_user is None:
                raise ValueError(
                    f"{key!r} belongs to no user: name it user:<id>:<name>, or give RedisClient "
                    "a shared_user that has all other keys"
                )
            return self._connected().user(self._shared_user), key
        user, name = self._connected().user(found[1]), found[2]
        if lock and name == "lock:":
            # Without a name it would be the user's own lock.
            raise ValueError(f"{key!r} has no name of a lock")
        if name != "lock":
            return user, name.removeprefix("lock:") if lock else name
        if not lock:
            raise ValueError(f"{key!r} is a lock: it has no value to read or write")
        return user, ""


__all__ = ["EdgelatchError", "LockHeld", "LockLost", "RedisClient"]
