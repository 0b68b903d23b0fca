"""What goes wrong in the caller's program, or between it and the service."""

import asyncio
import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import anyio
import anyio.abc
import httpx
import pytest
from conftest import ADMIN_TOKEN, API_TOKEN, Redis, Service
from lossy import AsyncLossy, Lossy

import edgelatch
from edgelatch import (
    AsyncClient,
    Client,
    EdgelatchError,
    EntryContended,
    Lease,
    LockHeld,
    LockLost,
    NotFound,
    Problem,
    TransportError,
    Unauthorized,
    User,
)
from edgelatch.compat import RedisClient


@pytest.mark.anyio
async def test_a_lock_may_be_released_in_its_body(
    async_client: AsyncClient, user_id: int, anyio_backend: str
) -> None:
    lock = async_client.user(user_id).lock(expire=0.6)
    async with lock as lease:
        await lease.release()
        assert lease.expires_in == 0
        assert not (await lock.status()).held
        # Its renewal would have found out by now.
        await anyio.sleep(0.5)
        lease.check()
        with pytest.raises(LockLost, match="was released"):
            await lease.renew()


def test_a_lock_may_be_released_in_its_sync_body(client: Client, user_id: int) -> None:
    told: list[Lease] = []
    with client.user(user_id).lock(expire=0.6, on_lost=told.append) as lease:
        lease.release()
        time.sleep(0.5)
        lease.check()
    assert not told


@pytest.mark.anyio
async def test_a_client_that_is_closed_stops_the_body(
    service: Service, user_id: int, anyio_backend: str
) -> None:
    client = AsyncClient(service.url, token=API_TOKEN)
    began = time.monotonic()
    with pytest.raises(LockLost, match="cannot be renewed") as lost:
        async with client.user(user_id).lock(expire=0.9):
            await client.aclose()
            await anyio.sleep(60)
    assert time.monotonic() - began < 3
    assert isinstance(lost.value.__cause__, RuntimeError)


def test_a_client_that_is_closed_loses_its_locks(service: Service, user_id: int) -> None:
    client = Client(service.url, token=API_TOKEN)
    told: list[Lease] = []
    with pytest.raises(LockLost, match="cannot be renewed"):
        with client.user(user_id).lock(expire=0.9, on_lost=told.append) as lease:
            client.close()
            assert lease.lost.wait(3)
    assert told == [lease]


@pytest.mark.parametrize("bad", ["secreté", "secret\x00", "secret x", "secret\nx", "", " \n"])
def test_what_is_no_token_is_refused_and_not_quoted(service: Service, bad: str) -> None:
    for make in (Client, AsyncClient):
        with pytest.raises(ValueError, match="visible ASCII") as refused:
            make(service.url, token=bad)
        assert "secret" not in repr(refused.value)
    with Client(service.url) as client:
        with pytest.raises(ValueError, match="visible ASCII") as refused:
            client.user(1).lock().force_release(bad)
        assert "secret" not in repr(refused.value)
    with pytest.raises(ValueError, match="visible ASCII"):
        RedisClient(service.url, token=bad)


def test_white_space_around_a_token_is_left_out(service: Service, user_id: int) -> None:
    with Client(service.url, token=f" {API_TOKEN} \n") as client:
        lock = client.user(user_id).lock()
        assert not lock.status().held
        lock.force_release(f"{ADMIN_TOKEN}\r\n")


@pytest.mark.parametrize(
    "bad", ["secret\n", "secreté", "secret\x00", "secret ", " secret", "\tsecret", "", " "]
)
def test_what_no_header_can_hold_is_refused_and_not_quoted(service: Service, bad: str) -> None:
    with httpx.Client(transport=Lossy()) as http:
        user = Client(service.url, http=http).user(1)
        for call in (
            lambda: user.lock(owner=bad),
            lambda: user.perform_action(idempotency_key=bad),
            lambda: user.attempt_action(idempotency_key=bad),
            lambda: user.get(if_none_match=bad),
            lambda: user.cache.get("k", if_none_match=bad),
            lambda: user.cache.set("k", 1, if_match=bad),
            lambda: user.cache.set("k", 1, if_none_match=bad),
            lambda: user.cache.patch("k", 1, if_match=bad),
            lambda: user.cache.delete("k", if_match=bad),
        ):
            with pytest.raises(ValueError, match="visible ASCII") as refused:
                call()
            assert "secret" not in repr(refused.value)


def test_the_text_of_a_failed_call_quotes_no_header(service: Service) -> None:
    """A header of the caller's own httpx client that h11 refuses, and quotes."""
    with httpx.Client(headers={"X-Secret": "secret "}) as http:
        client = Client(service.url, http=http, retry_limit=0)
        with pytest.raises(TransportError, match="LocalProtocolError") as refused:
            client.user(1).cache.get("k")
    shown = "".join(traceback.format_exception(refused.value))
    assert "secret " not in shown
    assert "'secret" not in shown


def test_an_address_may_have_a_path_and_a_slash(service: Service, user_id: int) -> None:
    with Client(f"{service.url}/", token=API_TOKEN) as client:
        assert not client.user(user_id).lock().status().held
    with Client(f"{service.url}/behind/", token=API_TOKEN) as client:
        with pytest.raises(NotFound) as missing:
            client.user(user_id).lock().status()
        assert missing.value.members["instance"] == f"/behind/api/v1/users/{user_id}/lock"
    for bad in ("127.0.0.1:9001", "redis://a:secret@b", "http://a?b=secret", "http://a/#secret"):
        for make in (Client, AsyncClient):
            with pytest.raises(ValueError, match="http:// or https://") as refused:
                make(bad)
            assert "secret" not in str(refused.value)


LONG = "a" * 70


@pytest.mark.parametrize(
    "at",
    [
        *["", ":80", "[::1", "a..b", f"{LONG}.x", "xn--a", "a b", "a\x00", "\u2603\u0338.\u200d"],
        *["a:abc", "a:99999", "a:0", "a@b@c:1x"],
    ],
)
def test_an_address_that_is_none_is_refused_and_not_quoted(at: str) -> None:
    for make in (Client, AsyncClient, RedisClient):
        for login in ("", "ada:secret@"):
            with pytest.raises(ValueError, match="the URL of edgelatch") as refused:
                make(f"http://{login}{at}")
            shown = "".join(traceback.format_exception(refused.value))
            assert "secret" not in shown.replace(__file__, "").replace('"ada:secret@"', "")
    for good in ("http://[::1]:9001", "http://a.:80/b", "https://é.test", "http://a_b"):
        Client(good).close()


@pytest.mark.parametrize(
    "bad",
    [
        *[
            "http://ada:12/passw0rd@proxy",
            "http://proxy/passw0rd@",
            "https://ada:12/b/passw0rd@c/d",
        ],
        *[None, 5, b"http://ada:passw0rd@proxy", ["http://proxy"]],
    ],
)
def test_an_address_whose_password_would_be_a_path_is_refused_and_not_quoted(bad: Any) -> None:
    """httpx writes the path to the log."""
    for make in (Client, AsyncClient, RedisClient):
        if bad is None and make is RedisClient:
            # It takes the default.
            continue
        with pytest.raises(ValueError, match="URL of edgelatch") as refused:
            make(bad)
        assert "passw0rd" not in str(refused.value)
    for good in ("http://ada:12%2Fpassw0rd@proxy", "http://proxy/a%40b"):
        Client(good).close()


@pytest.mark.anyio
async def test_a_login_in_the_address_is_sent_and_not_logged(
    caplog: pytest.LogCaptureFixture, anyio_backend: str
) -> None:
    caplog.set_level("DEBUG")
    seen: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers.get("Authorization")))
        return httpx.Response(404, json={"type": "urn:edgelatch:not-found"})

    transport = httpx.MockTransport(answer)
    address = "http://ad%61:se%3Acret@proxy.test/behind/"
    with httpx.Client(transport=transport) as http:
        assert Client(address, http=http).user(1).cache.get("k") is None
    async with httpx.AsyncClient(transport=transport) as async_http:
        assert await AsyncClient(address, http=async_http).user(1).cache.get("k") is None
    login = httpx.BasicAuth("ada", "se:cret")._auth_header
    assert seen == [("http://proxy.test/behind/api/v1/users/1/cache/k", login)] * 2
    assert "HTTP Request: GET" in caplog.text
    assert "cret" not in caplog.text
    with pytest.raises(ValueError, match="no place for a token"):
        Client(address, token=API_TOKEN)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(201, text="[" * 5000, headers={"X-Request-Id": "x"}),
        httpx.Response(201, text="1" * 5000, headers={"X-Request-Id": "x"}),
        httpx.Response(
            201, text=f'{{"fencing_token":7,"expires_in":{10**400}}}', headers={"X-Request-Id": "x"}
        ),
    ],
    ids=["deep", "long", "large"],
)
def test_a_lock_whose_answer_cannot_be_read_is_given_back(
    service: Service, user_id: int, answer: httpx.Response
) -> None:
    class Garbling(Lossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            super().deliver(request, response)
            return answer if request.method == "POST" else response

    with httpx.Client(transport=Garbling()) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=60)
        with pytest.raises(Problem, match=r"not JSON|not one of edgelatch"):
            lock.acquire()
        assert not lock.status().held


@pytest.mark.parametrize(
    "timing", ["wait;dur=1.2.3", "wait;dur=.", "wait;dur=-1", "wait;dur=" + LONG]
)
def test_a_wait_that_cannot_be_read_is_none(service: Service, user_id: int, timing: str) -> None:
    class Odd(Lossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            response.headers["Server-Timing"] = timing
            return super().deliver(request, response)

    with httpx.Client(transport=Odd()) as http:
        user = Client(service.url, token=API_TOKEN, http=http).user(user_id)
        lease = user.lock(timeout=5, expire=60).acquire()
        assert 0 < lease.expires_in <= 60
        lease.release()


def test_numbers_of_headers_that_are_too_long_are_none() -> None:
    tags = {"X-Request-Id": "x", "ETag": '"x"', "Cache-Control": "max-age=" + "9" * 5000}
    answer = httpx.Response(200, json=1, headers=tags)
    with httpx.Client(transport=Proxy(answer)) as http:
        entry = Client("http://proxy.test", http=http).user(1).cache.get("k")
    assert entry is not None
    assert entry.max_age is None


class Proxy(httpx.BaseTransport):
    """A proxy in front of nothing."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer


def test_an_entry_that_others_kept_changing_is_told_as_that_and_not_as_a_lock() -> None:
    told = {"type": "urn:edgelatch:entry-contended", "detail": "others kept changing it"}
    answer = httpx.Response(423, json=told, headers={"X-Request-Id": "x", "Retry-After": "1"})
    with httpx.Client(transport=Proxy(answer)) as http:
        cache = Client("http://proxy.test", http=http).user(1).cache
        with pytest.raises(EntryContended, match="others kept changing it") as contended:
            cache.patch("k", {"a": 1})
    assert not isinstance(contended.value, LockHeld)
    assert (contended.value.status, contended.value.slug) == (423, "entry-contended")
    assert (contended.value.request_id, contended.value.retry_after) == ("x", 1)


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "text", ["<h1>not JSON</h1>", "[]", "{}", "null", '{"type": "https://proxy.test/quota"}']
)
def test_an_answer_that_is_not_of_the_service_is_a_problem(status: int, text: str) -> None:
    answer = httpx.Response(status, text=text, headers={"Retry-After": "nan"})
    with httpx.Client(transport=Proxy(answer)) as http:
        user = Client("http://proxy.test", http=http, retry_limit=0).user(1)
        for call in (user.lock().acquire, user.lock().status, user.attempt_action):
            with pytest.raises(Problem) as told:
                call()
            assert (told.value.status, told.value.slug) == (status, "")
            # Only the service knows whether Redis or the origin has failed.
            assert type(told.value) is Problem
        with pytest.raises(LockHeld):
            Client("http://proxy.test", http=self_made(423), retry_limit=0).user(1).lock().acquire()


@pytest.mark.parametrize(
    "told",
    [
        {"held": "yes"},
        {"held": 1, "waiting": 0},
        {"held": True, "expires_in": "7"},
        {"held": True, "fencing_token": 7.5},
        {"held": True, "owner": 7},
        {"held": False, "waiting": "0"},
        {"status": 5},
        {"status": "pending"},
        {"token": "t", "fencing_token": "7", "expires_in": 10},
        {"token": "t", "fencing_token": 7, "expires_in": "10"},
        {"token": "t", "fencing_token": True, "expires_in": 10},
    ],
)
def test_an_answer_of_other_types_is_not_of_the_service(told: dict[str, object]) -> None:
    answer = httpx.Response(200, json=told, headers={"ETag": '"page"', "X-Request-Id": "page"})
    with httpx.Client(transport=Proxy(answer)) as http:
        user = Client("http://proxy.test", http=http, retry_limit=0).user(1)
        for call in (
            user.lock(expire=1).acquire,
            user.lock().status,
            lambda: user.lock().watch(0),
            user.perform_action,
            user.attempt_action,
            lambda: user.cache.set("k", 1),
            lambda: user.cache.delete("k"),
            lambda: user.lock().force_release("admin"),
        ):
            with pytest.raises(Problem) as strange:
                call()
            assert strange.value.slug == ""


def test_a_page_is_no_stored_entry() -> None:
    for answer in (
        httpx.Response(200, text="<html>", headers={"ETag": '"page"', "X-Request-Id": "page"}),
        httpx.Response(201, headers={"X-Request-Id": "page"}),
        httpx.Response(201, headers={"ETag": '"page"'}),
    ):
        with httpx.Client(transport=Proxy(answer)) as http:
            cache = Client("http://proxy.test", http=http).user(1).cache
            with pytest.raises(Problem, match="not one of edgelatch"):
                cache.set("k", 1)
            with pytest.raises(Problem, match="not one of edgelatch"):
                cache.compare_and_set("k", None, 1)


TAG = {"ETag": '"page"'}
ID = {"X-Request-Id": "page"}
LOGIN = '{"login":"here"}'
READS: list[Callable[[User], object]] = [
    lambda user: user.get(),
    lambda user: user.cache.get("k"),
    lambda user: user.cache.patch("k", {}),
    lambda user: user.cache.get_or_compute("k", lambda: 1),
]
DELETES: list[Callable[[User], object]] = [
    lambda user: user.cache.delete("k"),
    lambda user: user.lock().force_release("admin"),
]


@pytest.mark.parametrize(
    ("status", "text", "headers", "calls"),
    [
        (200, LOGIN, TAG, READS),
        (200, LOGIN, ID, READS),
        (202, LOGIN, TAG | ID, READS),
        (304, "", TAG, READS),
        (304, "", ID, READS),
        (204, "", TAG, DELETES),
    ],
)
def test_an_answer_is_not_of_the_service_without_what_each_of_its_answers_has(
    status: int, text: str, headers: dict[str, str], calls: list[Callable[[User], object]]
) -> None:
    answer = httpx.Response(status, text=text, headers=headers)
    with httpx.Client(transport=Proxy(answer)) as http:
        for call in calls:
            with pytest.raises(Problem, match="not one of edgelatch") as strange:
                call(Client("http://proxy.test", http=http).user(1))
            assert strange.value.slug == ""


def test_a_lock_is_released_by_nothing_but_a_204_of_the_service(
    service: Service, user_id: int
) -> None:
    class Proxied(Lossy):
        answers: ClassVar[list[httpx.Response]] = [
            httpx.Response(204),
            httpx.Response(200, text="<html>", headers=ID),
        ]

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "DELETE" and self.answers:
                return self.answers.pop()
            return super().handle_request(request)

    with httpx.Client(transport=Proxied()) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=60)
        lease = lock.acquire()
        for _ in range(2):
            with pytest.raises(Problem, match="not one of edgelatch"):
                lease.release()
            assert lock.status().held
        lease.release()
        assert not lock.status().held


def self_made(status: int) -> httpx.Client:
    held = {"type": "urn:edgelatch:lock-held", "detail": "Could not acquire lock"}
    return httpx.Client(transport=Proxy(httpx.Response(status, json=held)))


@pytest.mark.anyio
async def test_renewals_that_are_refused_for_a_while_do_not_lose_the_lock(
    service: Service, user_id: int, anyio_backend: str
) -> None:
    class Proxied(AsyncLossy):
        """A proxy that fails in all the ways that proxies do, but lets every fifth try pass."""

        answers = iter([401, 429, 502, 200])

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            status = next(self.answers, None) if request.method == "PUT" else None
            if status is not None:
                return httpx.Response(status, text="<h1>Sorry</h1>")
            return await super().handle_async_request(request)

    transport = Proxied()
    async with httpx.AsyncClient(transport=transport) as http:
        lock = AsyncClient(service.url, token=API_TOKEN, http=http).user(user_id).lock
        async with lock(expire=6) as lease:
            with anyio.fail_after(6):
                while 200 not in transport.statuses:
                    await anyio.sleep(0.01)
            lease.check()
            assert (await lock().status()).held


@pytest.mark.anyio
async def test_a_body_that_blocked_the_event_loop_is_stopped(
    async_client: AsyncClient, user_id: int, anyio_backend: str
) -> None:
    with pytest.raises(LockLost, match="expired before"):
        async with async_client.user(user_id).lock(expire=0.4) as lease:
            time.sleep(0.6)
            with pytest.raises(LockLost):
                lease.check()
            await anyio.sleep(60)


@pytest.mark.anyio
@pytest.mark.parametrize("lost", [["a"], ["b"], ["a", "b"]])
async def test_nested_locks_are_given_back_whichever_is_lost(
    async_client: AsyncClient, redis: Redis, user_id: int, anyio_backend: str, lost: list[str]
) -> None:
    lock = async_client.user(user_id).lock
    with pytest.raises(LockLost, match=f"lock '{lost[0]}'"):
        async with lock("a", expire=0.9):
            async with lock("b", expire=0.9):
                redis.client.delete(*[f"user:{user_id}:lock:{name}" for name in lost])
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(anyio.sleep, 60)
                    await anyio.sleep(60)
    for name in "ab":
        assert not (await lock(name).status()).held


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, Exception])
def test_a_lock_is_given_back_whatever_is_raised(
    client: Client, user_id: int, error: type[BaseException]
) -> None:
    lock = client.user(user_id).lock(expire=30)
    with pytest.raises(error), lock:
        raise error
    assert not lock.status().held


@pytest.mark.anyio
async def test_a_generator_that_is_closed_gives_its_lock_back(
    async_client: AsyncClient, user_id: int, anyio_backend: str
) -> None:
    lock = async_client.user(user_id).lock(expire=30)

    async def under_it() -> AsyncIterator[int]:
        async with lock:
            yield 1

    steps = under_it()
    assert await anext(steps) == 1
    await steps.aclose()  # type: ignore[attr-defined]
    assert not (await lock.status()).held


def test_an_interrupted_wait_leaves_no_waiter(client: Client, user_id: int) -> None:
    lock = client.user(user_id).lock(timeout=30, expire=30)
    holder = lock.acquire()

    def interrupt() -> None:
        while lock.status().waiting == 0:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    # A shell that starts a program in the background lets it ignore Ctrl-C.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
    finally:
        signal.signal(signal.SIGINT, usual)
    interrupting.join()
    assert lock.status().waiting == 0
    holder.release()
    assert not lock.status().held


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_an_acquisition_that_is_cancelled_at_any_moment_leaves_no_lock(
    async_client: AsyncClient, user_id: int, anyio_backend: str
) -> None:
    user = async_client.user(user_id)
    for delay in range(20):
        acquiring = asyncio.create_task(user.lock(f"{delay}", timeout=5, expire=30).acquire())
        await asyncio.sleep(delay / 1000)
        acquiring.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await acquiring).release()
    for delay in range(20):
        assert not (await user.lock(f"{delay}").status()).held


def test_an_acquisition_that_arrives_after_its_end_is_given_back(
    service: Service, user_id: int
) -> None:
    """The first DELETE of a wait that was interrupted overtakes the POST."""

    class Overtaken(Lossy):
        late: httpx.Request | None = None

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                self.late = request
                raise KeyboardInterrupt
            answer = super().handle_request(request)
            if self.late is not None:
                assert super().handle_request(self.late).status_code == 201
                self.late = None
            return answer

    with httpx.Client(transport=Overtaken()) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=30)
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
        assert not lock.status().held


@pytest.mark.anyio
async def test_a_lock_is_entered_once_at_a_time(
    async_client: AsyncClient, client: Client, user_id: int, anyio_backend: str
) -> None:
    lock = async_client.user(user_id).lock("a", expire=30)
    async with lock:
        with pytest.raises(RuntimeError, match="once at a time"):
            async with lock:
                raise AssertionError
    async with lock:
        pass
    sync = client.user(user_id).lock("b", expire=30)
    with sync:
        with pytest.raises(RuntimeError, match="once at a time"):
            with sync:
                raise AssertionError
    with sync:
        pass


def test_any_json_is_stored_and_nothing_else(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache
    for value in (None, "", "é😀", {"é": [1]}, "x" * 500_000, 1e300, 2**70, False):
        cache.set("k", value)
        entry = cache.get("k")
        assert entry is not None
        assert entry.value == value
    for wrong in (float("nan"), "\ud800", object()):
        with pytest.raises((ValueError, TypeError)):
            cache.set("k", wrong)
    assert cache.get_or_compute("none", lambda: None) is None
    assert cache.get_or_compute("none", lambda: 1) is None


def test_a_value_is_returned_if_computing_it_anew_fails(client: Client, user_id: int) -> None:
    cache = client.user(user_id).cache
    cache.set("report", "old", expire=30)
    told: list[Exception] = []
    failure = KeyError("mine")

    def broken() -> str:
        raise failure

    def ask() -> str:
        return cache.get_or_compute("report", broken, refresh=60, on_refresh_error=told.append)

    assert (ask(), told) == ("old", [failure])
    assert cache.get_or_compute("report", broken, refresh=60) == "old"
    # It has given up, so the next caller computes.
    assert cache.get_or_compute("report", lambda: "new", refresh=60) == "new"


@pytest.mark.anyio
async def test_the_async_client_returns_it_too(
    async_client: AsyncClient, user_id: int, anyio_backend: str
) -> None:
    cache = async_client.user(user_id).cache
    await cache.set("report", "old", expire=30)

    async def broken() -> str:
        raise KeyError("mine")

    assert await cache.get_or_compute("report", broken, refresh=60) == "old"
    assert await cache.get_or_compute("report", lambda: "new", refresh=60) == "new"


def test_a_proxy_is_taken_from_the_environment(
    service: Service, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Client("http://edgelatch.test", retry_limit=0) as client:
        with pytest.raises(TransportError) as gone:
            client.user(user_id).lock().status()
    assert not gone.value.sent


def test_every_exception_is_one_of_the_package() -> None:
    exceptions = [it for it in vars(edgelatch).values() if isinstance(it, type)]
    raised = [it for it in exceptions if issubclass(it, Exception)]
    assert len(raised) > 10
    assert all(issubclass(it, EdgelatchError) for it in raised)
    assert issubclass(Unauthorized, Problem)
