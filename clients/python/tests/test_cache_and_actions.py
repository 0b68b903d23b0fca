"""The cache, computing once, actions and problems. Both clients share the flows behind them."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable

import anyio
import httpx
import pytest
from conftest import API_TOKEN, Service
from lossy import AsyncLossy, Lossy, every

from edgelatch import (
    AsyncClient,
    Client,
    Entry,
    IdempotencyKeyReused,
    InvalidRequest,
    LockHeld,
    NotFound,
    NotModified,
    PreconditionFailed,
    Problem,
    ReservedKey,
    TransportError,
    Unauthorized,
)


def test_an_entry_is_stored_read_changed_and_removed(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache
    assert cache.get("profile") is None
    stored = cache.set("profile", {"name": "Ada"}, expire=60)
    assert stored.created
    entry = cache.get("profile")
    assert entry == Entry({"name": "Ada"}, stored.etag, entry.max_age if entry else None)
    assert entry is not None
    assert entry.max_age in (59, 60)
    assert isinstance(cache.get("profile", if_none_match=stored.etag), NotModified)
    merged = cache.patch("profile", {"age": 36}, if_match=stored.etag)
    assert merged.value == {"name": "Ada", "age": 36}
    with pytest.raises(PreconditionFailed):
        cache.delete("profile", if_match=stored.etag)
    cache.delete("profile", if_match=merged.etag)
    cache.delete("profile")
    with pytest.raises(NotFound):
        cache.patch("profile", {})


def test_compare_and_set_stores_only_what_nobody_has_changed(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache
    first = cache.compare_and_set("n", None, 1)
    assert first is not None
    assert cache.compare_and_set("n", None, 2) is None
    second = cache.compare_and_set("n", first.etag, 2)
    assert second is not None
    assert cache.compare_and_set("n", first.etag, 3) is None
    with pytest.raises(PreconditionFailed) as failed:
        cache.set("n", 3, if_none_match="*")
    assert (failed.value.status, failed.value.slug) == (412, "precondition-failed")


def test_one_thread_computes_and_the_others_get_its_value(client: Client, user_id: int) -> None:
    calls = Counter[str]()
    values = []

    def report() -> dict[str, int]:
        calls["report"] += 1
        return {"total": 17}

    def ask() -> None:
        values.append(client.user(user_id).cache.get_or_compute("report", report, timeout=20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (calls["report"], values) == (1, [{"total": 17}] * 8)


def test_a_computation_that_raises_gives_up(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache

    def broken() -> int:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        cache.get_or_compute("report", broken, compute=60)
    # No JSON: it cannot be stored.
    with pytest.raises(TypeError):
        cache.get_or_compute("report", object, compute=60)
    assert cache.get_or_compute("report", lambda: 2, compute=60, timeout=0) == 2


def test_a_newer_value_is_not_replaced_by_a_computed_one(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache

    def slow() -> str:
        cache.set("report", "newer")
        return "older"

    assert cache.get_or_compute("report", slow) == "newer"


def test_a_value_is_computed_anew_before_it_expires(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache
    cache.set("report", 1, expire=30)
    assert cache.get_or_compute("report", lambda: 2, refresh=10) == 1
    assert cache.get_or_compute("report", lambda: 2, refresh=60, expire=600) == 2
    entry = cache.get("report")
    assert entry is not None
    assert entry.value == 2


Strangely = Callable[[httpx.Response], httpx.Response]


def without(name: str) -> Strangely:
    """A proxy that removes a header."""

    def change(answer: httpx.Response) -> httpx.Response:
        del answer.headers[name]
        return answer

    return change


def garbled(answer: httpx.Response) -> httpx.Response:
    return httpx.Response(200, text="[" * 100_000, headers=answer.headers)


UNREADABLE = pytest.mark.parametrize(
    ("stored", "strangely"),
    [
        (True, without("etag")),
        (True, without("x-request-id")),
        (True, garbled),
        (False, without("x-request-id")),
    ],
    ids=["no tag", "no id", "no JSON", "no id of a 404"],
)


@UNREADABLE
def test_a_task_whose_answer_cannot_be_read_is_given_to_the_next(
    service: Service, client: Client, user_id: int, stored: bool, strangely: Strangely
) -> None:
    class Proxy(Lossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            answer = super().deliver(request, response)
            return strangely(answer) if "compute-token" in answer.headers else answer

    cache = client.user(user_id).cache
    for index, loses in enumerate((lambda *_: False, every("DELETE"))):
        key = f"report-{index}"
        if stored:
            cache.set(key, "old", expire=30)
        with httpx.Client(transport=Proxy(loses)) as http:
            proxied = Client(service.url, token=API_TOKEN, http=http).user(user_id).cache
            with pytest.raises(Problem):
                proxied.get_or_compute(key, lambda: "not called", compute=60, refresh=60)
        assert cache.get_or_compute(key, lambda: "new", timeout=0, refresh=60) == "new"


@UNREADABLE
@pytest.mark.anyio
async def test_the_async_client_gives_it_to_the_next_too(
    service: Service,
    async_client: AsyncClient,
    user_id: int,
    anyio_backend: str,
    stored: bool,
    strangely: Strangely,
) -> None:
    class Proxy(AsyncLossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            answer = super().deliver(request, response)
            return strangely(answer) if "compute-token" in answer.headers else answer

    cache = async_client.user(user_id).cache
    if stored:
        await cache.set("report", "old", expire=30)
    async with httpx.AsyncClient(transport=Proxy()) as http:
        proxied = AsyncClient(service.url, token=API_TOKEN, http=http).user(user_id).cache
        with pytest.raises(Problem):
            await proxied.get_or_compute("report", lambda: "no", compute=60, refresh=60)
    assert await cache.get_or_compute("report", lambda: "new", timeout=0, refresh=60) == "new"


@pytest.mark.anyio
async def test_tasks_compute_once_with_sync_and_async_functions(
    async_client: AsyncClient, user_id: int
) -> None:
    cache = async_client.user(user_id).cache
    values: list[int] = []

    async def report() -> int:
        await anyio.sleep(0.1)
        return 1

    async def ask() -> None:
        values.append(await cache.get_or_compute("report", report, timeout=20))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert values == [1] * 8
    assert await cache.get_or_compute("other", lambda: 2) == 2


@pytest.mark.anyio
async def test_a_cancelled_computation_gives_up(async_client: AsyncClient, user_id: int) -> None:
    cache = async_client.user(user_id).cache

    async def forever() -> int:
        await anyio.sleep_forever()
        return 1

    with anyio.move_on_after(0.3):
        await cache.get_or_compute("report", forever, compute=60)
    assert await cache.get_or_compute("report", lambda: 2, timeout=0) == 2


@pytest.mark.anyio
async def test_the_async_cache_has_the_same_methods(
    async_client: AsyncClient, user_id: int
) -> None:
    cache = async_client.user(user_id).cache
    stored = await cache.set("n", [1], expire=60)
    assert await cache.compare_and_set("n", stored.etag, {"a": 1}) is not None
    assert (await cache.patch("n", {"b": 2})).value == {"a": 1, "b": 2}
    await cache.delete("n")
    assert await cache.get("n") is None


def test_an_action_runs_under_the_lock(client: Client, user_id: int) -> None:
    user = client.user(user_id)
    done = user.perform_action({"amount": 5}, timeout=1, expire=30)
    assert (done.succeeded, done.replayed) == (True, False)
    assert done.fencing_token is not None
    assert done.lock_wait is not None
    last = user.cache.get("last-action")
    assert last is not None
    assert last.value["fencing_token"] == done.fencing_token
    with user.lock():
        failed = user.attempt_action()
        assert not failed.succeeded
        assert failed.retry_after is not None
        with pytest.raises(LockHeld):
            user.perform_action(timeout=0)


def test_a_success_is_told_again_under_its_key(client: Client, user_id: int) -> None:
    user = client.user(user_id)
    first = user.perform_action({"amount": 5}, idempotency_key="order-17")
    again = user.perform_action({"amount": 5}, idempotency_key="order-17")
    assert (again.replayed, again.fencing_token) == (True, first.fencing_token)
    with pytest.raises(IdempotencyKeyReused):
        user.perform_action({"amount": 6}, idempotency_key="order-17")
    # Without a key, each call has its own.
    assert not user.perform_action({"amount": 5}).replayed


def test_a_problem_says_all_that_the_answer_says(client: Client, user_id: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.user(user_id).perform_action(timeout=61, expire=0)
    problem = refused.value
    assert (problem.status, problem.slug) == (422, "invalid-request")
    assert [it["loc"] for it in problem.errors] == [["query", "timeout"], ["query", "expire"]]
    assert problem.request_id
    with pytest.raises(ReservedKey):
        client.user(user_id).cache.set("last-action", 1)
    with pytest.raises(NotFound) as missing:
        client.user(user_id).get()
    assert missing.value.slug == "no-origin"


def test_no_exception_shows_a_token(service: Service, user_id: int) -> None:
    with Client(service.url, token="a-wrong-token-of-mine") as client:
        with pytest.raises(Unauthorized) as refused:
            client.user(user_id).lock().acquire()
    service_is_gone = Client("http://127.0.0.1:1", token="a-wrong-token-of-mine", retry_limit=0)
    with service_is_gone, pytest.raises(TransportError) as gone:
        service_is_gone.user(user_id).lock("nightly").acquire()
    for error in (refused.value, gone.value, gone.value.__cause__):
        assert "a-wrong-token" not in f"{error!r} {error}"
    assert issubclass(Unauthorized, Problem)


def test_ids_and_names_are_percent_encoded(client: Client, service: Service) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.user("4/2?").cache.get("a b")
    assert refused.value.members["instance"] == "/api/v1/users/4%2F2%3F/cache/a%20b"
    with pytest.raises(InvalidRequest):
        client.user(uuid.uuid4()).lock().status()
    for nothing in ("", ".", ".."):
        with pytest.raises(ValueError, match="is no user id"):
            client.user(nothing)
    with pytest.raises(TypeError):
        client.user(True)


def test_an_action_is_repeated_until_the_service_is_there(own: tuple[Service, object]) -> None:
    service, _ = own
    service.stop()
    starting = threading.Thread(target=service.start)
    with Client(service.url, retry_limit=20) as client:
        starting.start()
        assert client.user(42).perform_action().succeeded
        assert client.user(42).cache.set("n", 1).created
    starting.join()


@pytest.mark.anyio
async def test_a_sync_function_does_not_block_the_event_loop(
    async_client: AsyncClient, user_id: int
) -> None:
    here = threading.get_ident()
    cache = async_client.user(user_id).cache
    assert await cache.get_or_compute("thread", lambda: threading.get_ident()) != here
