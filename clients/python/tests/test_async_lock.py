"""A lock around an async body, on asyncio and on trio."""

import asyncio
import time

import anyio
import httpx
import pytest
from conftest import ADMIN_TOKEN, API_TOKEN, Redis, Service

from edgelatch import (
    AsyncClient,
    LockHeld,
    LockLost,
    Problem,
    RedisUnavailable,
    TransportError,
)

pytestmark = pytest.mark.anyio


async def test_a_lock_is_held_and_given_back(async_client: AsyncClient, user_id: int) -> None:
    lock = async_client.user(user_id).lock("nightly", expire=5)
    async with lock as lease:
        status = await lock.status()
        assert (status.held, status.fencing_token) == (True, lease.fencing_token)
        assert 0 < lease.expires_in <= 5
        with pytest.raises(LockHeld) as held:
            await async_client.user(user_id).lock("nightly").acquire()
        assert (held.value.status, held.value.slug) == (423, "lock-held")
        assert held.value.detail == "Could not acquire lock"
        assert held.value.retry_after is not None
    assert not (await lock.status()).held


async def test_without_a_name_it_is_the_lock_that_actions_take(
    async_client: AsyncClient, user_id: int
) -> None:
    user = async_client.user(user_id)
    async with user.lock():
        assert not (await user.attempt_action()).succeeded
    assert (await user.attempt_action()).succeeded


async def test_a_waiter_gets_the_lock_when_it_is_released(
    async_client: AsyncClient, user_id: int
) -> None:
    user = async_client.user(user_id)
    order = []
    async with anyio.create_task_group() as tasks:
        async with user.lock() as first:

            async def second() -> None:
                async with user.lock(timeout=20) as lease:
                    assert lease.fencing_token > first.fencing_token
                    order.append("second")

            tasks.start_soon(second)
            await anyio.sleep(0.1)
            order.append("first")
    assert order == ["first", "second"]


async def test_a_lock_outlives_its_expiry_while_the_body_runs(
    async_client: AsyncClient, user_id: int
) -> None:
    lock = async_client.user(user_id).lock(expire=0.6)
    async with lock as lease:
        await anyio.sleep(1.5)
        assert (await lock.status()).fencing_token == lease.fencing_token


async def test_a_stolen_lock_stops_the_body_within_a_second_of_the_renewal(
    async_client: AsyncClient, redis: Redis, user_id: int
) -> None:
    cleaned_up = False
    with pytest.raises(LockLost) as lost:
        async with async_client.user(user_id).lock(expire=3):
            redis.delete(f"user:{user_id}:lock")
            stolen = time.monotonic()
            try:
                await anyio.sleep(60)
            finally:
                stopped = time.monotonic()
                cleaned_up = True
    # The next renewal, a third of the expiry after the acquisition, finds out.
    assert stopped - stolen < 1.0 + 1.0
    assert time.monotonic() - stopped < 1.0
    assert cleaned_up
    assert (lost.value.slug, lost.value.status) == ("lock-lost", 409)


async def test_a_forced_release_stops_the_body(async_client: AsyncClient, user_id: int) -> None:
    lock = async_client.user(user_id).lock("nightly", expire=1)
    with pytest.raises(LockLost):
        async with lock:
            await lock.force_release(ADMIN_TOKEN)
            await anyio.sleep(60)


class Once(httpx.AsyncHTTPTransport):
    """Passes requests on. Their answers are lost, or another one takes their place."""

    def __init__(self, instead: httpx.Response | None) -> None:
        super().__init__()
        self.sent: list[str] = []
        self._instead = instead

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await (await super().handle_async_request(request)).aread()
        self.sent.append(request.method)
        if self._instead is None:
            raise httpx.ReadError("the connection broke", request=request)
        return self._instead


@pytest.mark.parametrize(
    ("status", "error"), [(None, TransportError), (503, Problem)], ids=["lost", "refused"]
)
async def test_a_forced_release_is_sent_once(
    service: Service,
    async_client: AsyncClient,
    user_id: int,
    status: int | None,
    error: type[Exception],
) -> None:
    lock = async_client.user(user_id).lock(expire=30)
    await lock.acquire()
    instead = None if status is None else httpx.Response(status, headers={"Retry-After": "0"})
    transport = Once(instead)
    async with httpx.AsyncClient(transport=transport) as http:
        operator = AsyncClient(service.url, token=API_TOKEN, http=http)
        with pytest.raises(error):
            await operator.user(user_id).lock().force_release(ADMIN_TOKEN)
    assert transport.sent == ["DELETE"]
    assert not (await lock.status()).held


async def test_a_paused_redis_stops_the_body_when_the_lock_has_expired(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, redis = own
    async with AsyncClient(service.url) as client:
        with pytest.raises(LockLost) as lost:
            async with client.user(42).lock(expire=2):
                began = time.monotonic()
                redis.pause()
                try:
                    await anyio.sleep(60)
                finally:
                    stopped = time.monotonic()
    redis.resume()
    assert 1.5 < stopped - began < 3.0
    assert lost.value.request_id is None


async def test_a_dead_service_stops_the_body_when_the_lock_has_expired(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, _ = own
    async with AsyncClient(service.url) as client:
        with pytest.raises(LockLost) as lost:
            async with client.user(42).lock(expire=2):
                began = time.monotonic()
                service.stop()
                try:
                    await anyio.sleep(60)
                finally:
                    stopped = time.monotonic()
    assert 1.5 < stopped - began < 3.0
    assert isinstance(lost.value.__cause__, TransportError)


async def test_a_short_outage_of_the_service_does_not_lose_the_lock(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, _ = own
    async with AsyncClient(service.url) as client:
        async with client.user(42).lock(expire=9) as lease:
            service.stop()
            await anyio.to_thread.run_sync(service.start)
            with anyio.fail_after(9):
                while lease.expires_in < 8:
                    await anyio.sleep(0.01)


async def test_an_acquisition_is_repeated_until_the_service_is_there(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, _ = own
    service.stop()
    async with AsyncClient(service.url) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, service.start)
        async with client.user(42).lock(timeout=20):
            pass


async def test_a_dead_redis_is_told_as_such(own: tuple[Service, Redis], anyio_backend: str) -> None:
    service, redis = own
    redis.kill()
    async with AsyncClient(service.url) as client:
        with pytest.raises(RedisUnavailable) as down:
            await client.user(42).lock().acquire()
    assert (down.value.status, down.value.slug) == (503, "redis-unavailable")
    assert down.value.retry_after == 1
    assert down.value.request_id


async def test_the_bodys_exception_is_not_masked(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, _ = own
    async with AsyncClient(service.url) as client:
        lock = client.user(42).lock(expire=1.5)
        with pytest.raises(KeyError) as error:
            async with lock:
                raise KeyError("mine")
        assert not hasattr(error.value, "__notes__")
        assert not (await lock.status()).held
        with pytest.raises(KeyError) as error:
            async with lock:
                service.stop()
                raise KeyError("mine")
        assert "edgelatch: " in error.value.__notes__[0]


async def test_a_failed_release_is_told(own: tuple[Service, Redis], anyio_backend: str) -> None:
    service, _ = own
    async with AsyncClient(service.url) as client:
        with pytest.raises(TransportError):
            async with client.user(42).lock(expire=1.5):
                service.stop()


async def test_a_lock_that_was_lost_unnoticed_is_told_at_the_end(
    async_client: AsyncClient, redis: Redis, user_id: int
) -> None:
    with pytest.raises(LockLost):
        async with async_client.user(user_id).lock(expire=30):
            redis.delete(f"user:{user_id}:lock")


async def test_cancellation_from_outside_stays_one_and_gives_the_lock_back(
    async_client: AsyncClient, user_id: int
) -> None:
    lock = async_client.user(user_id).lock(expire=30)
    with anyio.move_on_after(0.3) as scope:
        async with lock:
            await anyio.sleep(60)
    assert scope.cancelled_caught
    assert not (await lock.status()).held


async def test_a_cancelled_wait_leaves_no_waiter(async_client: AsyncClient, user_id: int) -> None:
    user = async_client.user(user_id)
    async with user.lock(expire=30):
        with anyio.move_on_after(0.3):
            await user.lock(timeout=30).acquire()
    assert not (await user.lock().status()).held


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_is_cancelled_though_the_lock_is_lost(
    async_client: AsyncClient, redis: Redis, user_id: int, anyio_backend: str
) -> None:
    async def body() -> None:
        async with async_client.user(user_id).lock(expire=0.9):
            redis.delete(f"user:{user_id}:lock")
            try:
                await asyncio.sleep(60)
            finally:
                # Cancelled for the lost lock; cancelled from outside while it cleans up.
                entered.set()
                await asyncio.sleep(60)

    entered = asyncio.Event()
    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_after_a_lost_lock_the_task_is_not_cancelled(
    async_client: AsyncClient, redis: Redis, user_id: int, anyio_backend: str
) -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(LockLost):
        async with asyncio.timeout(60), async_client.user(user_id).lock(expire=0.9):
            redis.delete(f"user:{user_id}:lock")
            await asyncio.sleep(60)
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_an_owner_is_told_where_the_service_knows_owners(
    async_client: AsyncClient, user_id: int
) -> None:
    lock = async_client.user(user_id).lock(owner="billing run 17")
    async with lock:
        status = await lock.status()
        with pytest.raises(LockHeld) as held:
            await lock.acquire()
        assert (status.owner, held.value.owner) == ("billing run 17", "billing run 17")


async def test_no_token_is_shown(async_client: AsyncClient, user_id: int) -> None:
    lock = async_client.user(user_id).lock()
    async with lock as lease:
        token = lease._held.token
        for it in (async_client, lock, lease, lease._held, lease._held.call("PUT")):
            assert token not in repr(it)
            assert "an-api-token" not in repr(it)
