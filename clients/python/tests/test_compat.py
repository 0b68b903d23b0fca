"""The original FastAPI service on `edgelatch.compat.RedisClient`."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import Redis, Service, free_port
from lossy import AsyncLossy

from edgelatch import Client, LockHeld
from edgelatch.compat import RedisClient

ORIGINAL = Path(__file__).parent / "original"
SOURCE = Path(__file__).parents[1] / "src"


class FastApi:
    """One of the two services as a process."""

    def __init__(self, folder: Path, **environment: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
        self._process = subprocess.Popen(
            [*command, "--log-level", "info", "--no-access-log"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(SOURCE)} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        lines = []
        for line in self._process.stderr:
            lines.append(line)
            if "Uvicorn running" in line:
                return
        raise AssertionError("".join(lines))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()


@pytest.fixture
def both(own: tuple[Service, Redis], tmp_path: Path) -> Iterator[tuple[FastApi, FastApi]]:
    """The original, and the original with one import changed, on one Redis."""
    service, redis = own
    work = tmp_path / "work"
    work.mkdir()
    text = (ORIGINAL / "app.py").read_text()
    there = "from redis_client import RedisClient\n"
    assert text.count(there) == 1
    here = text.replace(there, "from edgelatch.compat import RedisClient\n")
    (tmp_path / "app.py").write_text(here)
    original = FastApi(ORIGINAL, REDIS_PORT=str(redis.port), WORK=str(work))
    try:
        changed = FastApi(tmp_path, EDGELATCH_URL=service.url, WORK=str(work))
        try:
            yield original, changed
        finally:
            changed.close()
    finally:
        original.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_original_serves_with_one_import_changed_beside_the_real_one(
    both: tuple[FastApi, FastApi], anyio_backend: str
) -> None:
    answers = Counter[tuple[int, str]]()

    async def load(http: httpx.AsyncClient, base: str, user_id: int) -> None:
        path = f"{base}/api/v1/users/perform-action/"
        for _ in range(20):
            answer = await http.post(path, params={"user_id": user_id, "timeout": 30})
            answers[(answer.status_code, answer.text)] += 1

    async with httpx.AsyncClient(timeout=60) as http:
        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(load, http, both[number % 2].url, number // 2 % 3)
        # An action that overlaps another is a 500.
        assert answers == {(200, '{"status":"success"}'): 240}
        for service in both:
            last = await http.get(f"{service.url}/last", params={"user_id": 0})
            assert last.json() == {"status": "success"}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_endpoints_answer_as_the_originals(
    both: tuple[FastApi, FastApi], own: tuple[Service, Redis], anyio_backend: str
) -> None:
    actions = "/api/v1/users"
    with Client(own[0].url) as client:
        with client.user(42).lock(expire=30):
            for service in both:
                answer = httpx.post(f"{service.url}{actions}/attempt-action/?user_id=42")
                failed = {"status": "failed", "detail": "Could not acquire lock"}
                assert (answer.status_code, answer.json()) == (200, failed)
                answer = httpx.post(f"{service.url}{actions}/perform-action/?user_id=42&timeout=0")
                assert (answer.status_code, answer.json()["detail"]) == (423, failed["detail"])
    for service in both:
        answer = httpx.post(f"{service.url}{actions}/attempt-action/?user_id=42")
        assert (answer.status_code, answer.json()) == (200, {"status": "success"})


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_class_has_the_originals_methods(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, redis = own
    client = RedisClient(service.url)
    await client.connect()
    await client.set("user:42:report", {"total": 17}, expire=60)
    assert await client.get("user:42:report") == {"total": 17}
    await client.set("user:42:name", b"Ada")
    assert await client.get("user:42:name") == "Ada"
    await client.delete("user:42:report")
    assert await client.get("user:42:report") is None

    async with client.lock("user:42:lock", expire=5):
        assert redis.client.exists("user:42:lock")
        assert await client.try_acquire_lock("user:42:lock") is None
        with pytest.raises(LockHeld, match="Could not acquire lock"):
            async with client.lock("user:42:lock"):
                pass
    token = await client.acquire_lock_with_timeout("user:42:lock:nightly", 1, expire=5)
    assert redis.client.get("user:42:lock:nightly") == token
    assert not await client.release_lock("user:42:lock:nightly", "another")
    assert await client.release_lock("user:42:lock:nightly", token)
    assert not await client.release_lock("user:42:lock:nightly")
    await client.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_other_keys_belong_to_the_shared_user_or_are_refused(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, redis = own
    client = RedisClient(service.url, shared_user=0)
    await client.set("rates", [1, 2])
    assert await client.get("rates") == [1, 2]
    assert await client.try_acquire_lock("import")
    assert redis.client.exists("user:0:lock:import")
    await client.release_lock("import")
    await client.close()
    with pytest.raises(ValueError, match="belongs to no user"):
        await RedisClient(service.url).get("rates")
    with pytest.raises(ValueError, match="is a lock"):
        await RedisClient(service.url).get("user:42:lock")
    with pytest.raises(ValueError, match="https:// URL of edgelatch"):
        RedisClient("redis://127.0.0.1")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_lock_is_released_by_its_token_from_another_client(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, redis = own
    first, second = RedisClient(service.url), RedisClient(service.url)
    for key in ("user:42:lock", "user:42:lock:nightly"):
        token = await first.try_acquire_lock(key, expire=30)
        assert token is not None
        assert not await second.release_lock(key, "of-nobody-0123456789")
        assert not await second.release_lock(key, "short")
        assert not await second.release_lock(key)
        assert redis.client.exists(key)
        assert await second.release_lock(key, token)
        assert not redis.client.exists(key)
        assert not await second.release_lock(key, token)
        assert not await first.release_lock(key, token)
    await first.close()
    await second.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_key_without_a_name_is_not_the_lock_of_the_user(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, redis = own
    client = RedisClient(service.url, shared_user=0)
    for take in (client.try_acquire_lock, client.release_lock):
        with pytest.raises(ValueError, match="has no name"):
            await take("user:42:lock:")
    with pytest.raises(ValueError, match="has no name"):
        async with client.lock("user:42:lock:"):
            pass
    assert not redis.client.exists("user:42:lock")
    await client.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_releases_its_own_lock_and_not_that_of_another_task(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    """Two requests share the client. The lock of the first has expired when it releases."""
    service, redis = own
    client = RedisClient(service.url)
    key = "user:42:lock"
    taken = asyncio.Event()
    late = asyncio.Event()

    async def first() -> bool:
        assert await client.try_acquire_lock(key, expire=30)
        redis.delete(key)
        taken.set()
        await late.wait()
        return await client.release_lock(key)

    async def second() -> bool:
        await taken.wait()
        assert await client.try_acquire_lock(key, expire=30)
        late.set()
        assert not await late_release
        assert redis.client.exists(key)
        return await client.release_lock(key)

    late_release = asyncio.create_task(first())
    assert await asyncio.create_task(second())
    assert not redis.client.exists(key)
    # A task that has acquired none releases the one that the client acquired last.
    await asyncio.create_task(client.try_acquire_lock(key))
    assert await client.release_lock(key)
    assert not await client.release_lock(key)
    await client.close()


@pytest.mark.anyio
async def test_a_lock_without_an_expiry_is_refused_before_it_is_acquired(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, server = own
    redis = RedisClient(service.url)
    never: Any = None
    with pytest.raises(ValueError, match="is no number of seconds"):
        await redis.try_acquire_lock("user:42:lock", never)
    assert server.client.exists("user:42:lock") == 0
    await redis.close()


@pytest.mark.anyio
@pytest.mark.parametrize("timeout", [None, "5", float("nan"), float("inf"), True, [1]])
async def test_a_timeout_that_is_no_time_is_refused_before_anything_is_sent(
    own: tuple[Service, Redis], anyio_backend: str, timeout: Any
) -> None:
    service, server = own
    redis = RedisClient(service.url)
    with pytest.raises(ValueError, match=r"timeout: .* is no number of seconds"):
        await redis.acquire_lock_with_timeout("user:42:lock", timeout)
    assert server.client.exists("user:42:lock") == 0
    token = await redis.acquire_lock_with_timeout("user:42:lock", -1)
    assert await redis.release_lock("user:42:lock", token)
    await redis.close()


@pytest.mark.anyio
async def test_a_lock_that_has_ended_on_the_way_of_its_answer_was_not_had(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    class Late(AsyncLossy):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if request.method == "POST":
                await anyio.sleep(0.6)
            return response

    async with httpx.AsyncClient(transport=Late()) as http:
        redis = RedisClient(own[0].url, http=http)
        short: Any = 0.3
        assert await redis.try_acquire_lock("user:42:lock", short) is None
        assert await redis.acquire_lock_with_timeout("user:42:lock", 1, short) is None
        await redis.close()
