"""What is repeated after a lost answer, and what is told where nobody can know what happened."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import API_TOKEN, Redis, Service, Start
from lossy import AsyncLossy, Loses, Lossy, every, first
from origin import Origin, serving

import edgelatch
from edgelatch import (
    AsyncClient,
    Client,
    Entry,
    InvalidRequest,
    LockHeld,
    LockLost,
    NotModified,
    OriginFailed,
    Problem,
    RedisUnavailable,
    TransportError,
)

Losing = Callable[..., tuple[Client, Lossy]]


@pytest.fixture
def losing(service: Service) -> Iterator[Losing]:
    """Makes clients whose answers are lost."""
    opened: list[httpx.Client] = []

    def make(loses: Loses, to: Service = service, **options: float) -> tuple[Client, Lossy]:
        transport = Lossy(loses)
        http = httpx.Client(transport=transport)
        opened.append(http)
        return Client(to.url, token=API_TOKEN, http=http, **options), transport

    yield make
    for http in opened:
        http.close()


def test_an_acquisition_is_repeated_with_its_token(losing: Losing, user_id: int) -> None:
    client, sent = losing(first("POST"))
    lock = client.user(user_id).lock("nightly", timeout=5, expire=30)
    with lock as lease:
        assert sent.statuses == [201, 200]
        tokens = sent.header("Lock-Token")
        assert tokens[0] == tokens[1]
        assert lock.status().fencing_token == lease.fencing_token
    assert not lock.status().held


def test_a_lock_is_given_back_when_no_answer_arrives(losing: Losing, user_id: int) -> None:
    client, _ = losing(every("POST"))
    lock = client.user(user_id).lock(timeout=0.5, expire=30)
    with pytest.raises(TransportError):
        lock.acquire()
    assert not lock.status().held


def test_a_lock_is_given_back_when_the_answer_is_not_of_the_service(
    service: Service, user_id: int
) -> None:
    class Proxy(Lossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            super().deliver(request, response)
            return httpx.Response(201, json=[]) if request.method == "POST" else response

    with httpx.Client(transport=Proxy()) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=30)
        with pytest.raises(Problem, match="not one of edgelatch"):
            lock.acquire()
        assert not lock.status().held


def test_a_lock_that_an_outage_took_is_given_back(own: tuple[Service, Redis]) -> None:
    """Redis carries out later what was told 503: the acquisition, and the release after it."""
    service, redis = own
    with Client(service.url) as other:
        lock = other.user(42).lock()
        # Redis knows the script from now on.
        lock.acquire().release()
        with Client(service.url) as client:
            redis.pause()
            resuming = threading.Timer(2.5, redis.resume)
            resuming.start()
            with pytest.raises(RedisUnavailable):
                client.user(42).lock(expire=60).acquire()
        # The client is closed, so it has given back what it had.
        resuming.join()
        assert not lock.status().held


@pytest.mark.anyio
async def test_the_async_client_gives_it_back_too(
    own: tuple[Service, Redis], anyio_backend: str
) -> None:
    service, redis = own
    async with AsyncClient(service.url) as other:
        lock = other.user(42).lock()
        await (await lock.acquire()).release()
        async with AsyncClient(service.url) as client:
            redis.pause()
            resuming = threading.Timer(2.5, redis.resume)
            resuming.start()
            with pytest.raises(RedisUnavailable):
                await client.user(42).lock(expire=60).acquire()
        resuming.join()
        assert not (await lock.status()).held


class Overtaken(Lossy):
    """Tells 503 of the first acquisition, and delivers it after `releases` releases."""

    def __init__(self, releases: int) -> None:
        super().__init__()
        self._releases = releases
        self._late: httpx.Request | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self._late = request
            return httpx.Response(503, json={"type": "urn:edgelatch:redis-timeout"})
        response = super().handle_request(request)
        self._releases -= request.method == "DELETE"
        if self._late is not None and self._releases == 0:
            assert super().handle_request(self._late).status_code == 201
            self._late = None
        return response


PROXY = httpx.Response(502, text="<h1>Bad gateway</h1>")
LIMITED = httpx.Response(429, json={"type": "https://proxy.test/problems/quota"})
FAILED = httpx.Response(500, json={"type": "urn:edgelatch:internal"})


@pytest.mark.parametrize(
    "answer",
    [PROXY, LIMITED, FAILED, *[httpx.Response(it) for it in (302, 400, 423, 500, 503, 504)]],
    ids=lambda it: f"{it.status_code}",
)
def test_a_lock_is_given_back_unless_the_service_itself_has_refused_it(
    service: Service, user_id: int, answer: httpx.Response
) -> None:
    """A proxy has passed the request on, and answered it."""
    with httpx.Client(transport=Meddling("POST", answer, passes=True)) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=60)
        with pytest.raises(Problem) as told:
            lock.acquire()
        assert told.value.status == answer.status_code
        assert not lock.status().held


@pytest.mark.anyio
async def test_the_async_client_gives_back_what_a_proxy_has_answered(
    service: Service, user_id: int, anyio_backend: str
) -> None:
    class Proxy(AsyncLossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            super().deliver(request, response)
            return httpx.Response(502) if request.method == "POST" else response

    async with httpx.AsyncClient(transport=Proxy()) as http:
        lock = AsyncClient(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=60)
        with pytest.raises(Problem):
            async with lock:
                raise AssertionError("its body ran")
        assert not (await lock.status()).held


@pytest.mark.parametrize("releases", [1, 2])
def test_an_acquisition_that_comes_after_its_release_is_given_back(
    service: Service, user_id: int, releases: int
) -> None:
    transport = Overtaken(releases)
    with httpx.Client(transport=transport) as http:
        with Client(service.url, token=API_TOKEN, http=http) as client:
            lock = client.user(user_id).lock(expire=30)
            with pytest.raises(RedisUnavailable):
                lock.acquire()
        assert 201 in transport.statuses
        assert not lock.status().held


def test_a_program_ends_when_its_lock_is_given_back(own: tuple[Service, Redis]) -> None:
    service, redis = own
    with Client(service.url) as client:
        lock = client.user(42).lock()
        lock.acquire().release()
        redis.pause()
        acquiring = "edgelatch.Client(sys.argv[1]).user(42).lock(expire=60).acquire()"
        command = [sys.executable, "-c", f"import edgelatch, sys; {acquiring}", service.url]
        environment = os.environ | {"PYTHONPATH": str(Path(edgelatch.__file__).parents[1])}
        running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        threading.Timer(3, redis.resume).start()
        _, told = running.communicate(timeout=30)
        assert "RedisUnavailable" in told
        assert not lock.status().held


def test_what_was_never_sent_is_not_given_back() -> None:
    with Client("http://127.0.0.1:1") as client:
        began = time.monotonic()
        with pytest.raises(TransportError) as gone:
            client.user(1).lock(expire=60).acquire()
        assert not gone.value.sent
    assert time.monotonic() - began < 2


def test_a_release_whose_answer_was_lost_is_one(losing: Losing, user_id: int) -> None:
    client, sent = losing(first("DELETE"))
    with client.user(user_id).lock(expire=30):
        pass
    assert sent.statuses == [201, 204, 409]


def test_each_acquisition_has_a_token_of_its_own(losing: Losing, user_id: int) -> None:
    client, sent = losing(lambda *_: False)
    lock = client.user(user_id).lock(expire=30)
    for _ in range(2):
        lock.acquire().release()
    tokens = sent.header("Lock-Token")
    assert tokens[0] == tokens[1] != tokens[2] == tokens[3]


def test_a_lock_that_was_renewed_unheard_is_given_back_when_it_counts_as_lost(
    losing: Losing, user_id: int
) -> None:
    client, _ = losing(every("PUT"))
    lock = client.user(user_id).lock(expire=0.9)
    with pytest.raises(LockLost):
        with lock as lease:
            assert lease.lost.wait(5)
            # A renewal just before has prolonged it on the server.
            assert lock.status().held
    assert not lock.status().held


class Late(Lossy):
    """Delays the answers to acquisitions, and may hide how long they waited.

    The time itself is what is tested.
    """

    def __init__(self, delay: float = 1.1, *, hides: bool = False) -> None:
        super().__init__()
        self._delay = delay
        self._hides = hides

    def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.method == "POST":
            time.sleep(self._delay)
            if self._hides:
                del response.headers["Server-Timing"]
        return super().deliver(request, response)

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.sent]


TOLERANCE = 0.1
"""Seconds. A busy machine is late. The delay is 1.1."""


@pytest.mark.parametrize("timeout", [0, 5])
def test_a_lock_is_held_for_no_longer_than_the_service_says(
    service: Service, client: Client, user_id: int, timeout: float
) -> None:
    with httpx.Client(transport=Late()) as http:
        user = Client(service.url, token=API_TOKEN, http=http).user(user_id)
        lease = user.lock(timeout=timeout, expire=30).acquire()
        told = client.user(user_id).lock().status().expires_in
        assert told is not None
        assert 0 < lease.expires_in <= told + TOLERANCE


def test_a_lock_is_renewed_before_its_body_if_nobody_tells_how_long_it_waited(
    service: Service, client: Client, user_id: int
) -> None:
    transport = Late(2.5, hides=True)
    with httpx.Client(transport=transport) as http:
        user = Client(service.url, token=API_TOKEN, http=http).user(user_id)
        lease = user.lock(timeout=20, expire=7).acquire()
        assert transport.methods == ["POST", "PUT"]
        told = client.user(user_id).lock().status().expires_in
        assert told is not None
        assert 0 < lease.expires_in <= told


def test_a_lock_that_has_ended_on_the_way_of_its_answer_is_lost_before_its_body(
    service: Service, user_id: int
) -> None:
    with httpx.Client(transport=Late()) as http:
        user = Client(service.url, token=API_TOKEN, http=http).user(user_id)
        with pytest.raises(LockLost):
            with user.lock(expire=0.3):
                raise AssertionError("its body ran")


def slow(request: httpx.Request) -> float:
    """How late an answer comes. The lock has to be confirmed, and what confirms it is over then."""
    return {"POST": 0.8, "PUT": 3.0}.get(request.method, 0)


def test_a_lock_that_has_ended_on_the_way_of_its_confirmation_is_lost_before_its_body(
    service: Service, user_id: int
) -> None:
    class Slow(Lossy):
        def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
            time.sleep(slow(request))
            return super().deliver(request, response)

    transport = Slow()
    with httpx.Client(transport=transport) as http:
        user = Client(service.url, token=API_TOKEN, http=http).user(user_id)
        with pytest.raises(LockLost, match="expired before"):
            with user.lock(expire=2):
                raise AssertionError("its body ran")
        methods = [request.method for request in transport.sent]
        assert methods[:3] == ["POST", "PUT", "DELETE"]
        limits = transport.sent[1].extensions["timeout"]
        assert limits["read"] <= 2


@pytest.mark.anyio
async def test_the_async_client_does_not_wait_for_a_confirmation_that_is_over(
    service: Service, user_id: int, anyio_backend: str
) -> None:
    class Slow(AsyncLossy):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            await anyio.sleep(slow(request))
            return response

    transport = Slow()
    async with httpx.AsyncClient(transport=transport) as http:
        client = AsyncClient(service.url, token=API_TOKEN, http=http, retry_limit=0)
        with pytest.raises(TransportError, match="no answer in 2 s"):
            async with client.user(user_id).lock(expire=2):
                raise AssertionError("its body ran")
        methods = [request.method for request in transport.sent]
        assert methods[:3] == ["POST", "PUT", "DELETE"]


@pytest.mark.anyio
async def test_an_async_lock_survives_lost_answers(
    service: Service, user_id: int, anyio_backend: str
) -> None:
    transport = AsyncLossy(lambda request, nth: request.method != "GET" and nth == 1)
    http = httpx.AsyncClient(transport=transport)
    lock = AsyncClient(service.url, token=API_TOKEN, http=http).user(user_id).lock
    async with lock(timeout=5, expire=2) as lease:
        with anyio.fail_after(5):
            while transport.header("Lock-Token").count(lease._held.token) < 4:
                await anyio.sleep(0.01)
        lease.check()
    assert not (await lock().status()).held
    await http.aclose()


def test_a_conditional_write_is_not_told_as_done_because_another_wrote_the_same(
    losing: Losing, client: Client, user_id: int
) -> None:
    """Two that count from 1 to 2: one may have lost its update, and is told that nobody knows."""
    mine, sent = losing(lambda request, nth: request.method == "PUT" and nth == 1)
    etag = client.user(user_id).cache.set("n", 1).etag
    with pytest.raises(TransportError):
        mine.user(user_id).cache.compare_and_set("n", etag, 2)
    assert sent.statuses == [200, 412]
    with pytest.raises(TransportError):
        losing(first("PATCH"))[0].user(user_id).cache.patch(
            "n", {"a": 1}, if_match=client.user(user_id).cache.set("n", {}).etag
        )
    with pytest.raises(TransportError):
        losing(first("DELETE"))[0].user(user_id).cache.delete(
            "n", if_match=client.user(user_id).cache.set("n", 3).etag
        )


def test_what_was_never_sent_is_not_doubtful(own: tuple[Service, Redis]) -> None:
    service, _ = own
    with Client(service.url) as client:
        etag = client.user(42).cache.set("n", 1).etag
        service.stop()
        starting = threading.Thread(target=service.start)
        with Client(service.url, retry_limit=20) as patient:
            starting.start()
            assert patient.user(42).cache.compare_and_set("n", '"another"', 2) is None
            assert patient.user(42).cache.compare_and_set("n", etag, 2) is not None
    starting.join()


def test_reads_and_writes_without_a_condition_are_repeated(losing: Losing, user_id: int) -> None:
    client, sent = losing(lambda _, nth: nth == 1)
    cache = client.user(user_id).cache
    cache.set("n", {"a": 1})
    assert cache.patch("n", {"b": 2}).value == {"a": 1, "b": 2}
    assert cache.get("n") is not None
    cache.delete("n")
    assert sent.statuses == [201, 200, 200, 200, 200, 200, 204, 204]


def test_a_computed_value_whose_answer_was_lost_is_stored(losing: Losing, user_id: int) -> None:
    client, sent = losing(first("PUT"))
    cache = client.user(user_id).cache
    assert cache.get_or_compute("report", lambda: {"total": 17}) == {"total": 17}
    assert sent.statuses == [404, 201, 409, 200]


def test_a_computation_that_cannot_be_stored_gives_up(losing: Losing, user_id: int) -> None:
    client, _ = losing(lambda request, _: request.method == "PUT", retry_limit=0)
    other, _ = losing(lambda *_: False)
    with pytest.raises(TransportError):
        client.user(user_id).cache.get_or_compute("k", lambda: 1, compute=60)
    large = "x" * 2_000_000
    with pytest.raises(InvalidRequest, match="longer than"):
        other.user(user_id).cache.get_or_compute("large", lambda: large, compute=60)
    assert other.user(user_id).cache.get_or_compute("large", lambda: 2, timeout=0) == 2


@pytest.fixture(scope="module")
def _behind(_start: Start) -> Iterator[tuple[Service, Origin]]:
    with serving() as origin:
        yield _start(origin=origin.url, api_token=API_TOKEN)[0], origin


@pytest.fixture
def behind(_behind: tuple[Service, Origin]) -> Service:
    """A service with an origin."""
    return _behind[0]


@pytest.fixture
def origin(_behind: tuple[Service, Origin]) -> Iterator[Origin]:
    origin = _behind[1]
    origin.asked.clear()
    origin.inputs.clear()
    yield origin
    origin.status = 200


def test_a_user_is_read_from_the_origin_through_the_cache(
    behind: Service, losing: Losing, origin: Origin, user_id: int
) -> None:
    client, sent = losing(first("GET"), behind)
    user = client.user(user_id)
    fetched = user.get(expire=60)
    assert isinstance(fetched, Entry)
    assert fetched.value == {"number": 1}
    assert fetched.max_age in (59, 60)
    # The first answer was lost; the second came from the cache.
    assert (sent.statuses, origin.asked) == ([200, 200], [f"GET /users/{user_id}"])
    same = user.get(if_none_match=fetched.etag)
    assert isinstance(same, NotModified)
    assert same.etag == fetched.etag
    fresh = user.get(no_cache=True)
    assert isinstance(fresh, Entry)
    assert fresh.value == {"number": 2}
    unkept = user.get(no_cache=True, no_store=True)
    assert isinstance(unkept, Entry)
    assert unkept.value == {"number": 3}
    kept = user.get()
    assert isinstance(kept, Entry)
    assert kept.value == {"number": 2}
    origin.status = 500
    with pytest.raises(OriginFailed) as failed:
        user.get(no_cache=True)
    assert (failed.value.status, failed.value.slug) == (502, "origin-failed")


@pytest.mark.anyio
async def test_the_async_client_reads_a_user_from_the_origin(
    behind: Service, losing: Losing, origin: Origin, user_id: int, anyio_backend: str
) -> None:
    async with AsyncClient(behind.url, token=API_TOKEN) as client:
        fetched = await client.user(user_id).get(expire=60)
        assert isinstance(fetched, Entry)
        assert fetched.value == {"number": 1}
        same = await client.user(user_id).get(if_none_match=fetched.etag)
        assert isinstance(same, NotModified)
        done = await client.user(user_id).perform_action({"amount": 5})
        assert (done.result, origin.inputs) == ({"number": 2}, [{"amount": 5}])


def test_an_action_runs_once_though_its_answer_was_lost(
    behind: Service, losing: Losing, origin: Origin, user_id: int
) -> None:
    for act in ("perform_action", "attempt_action"):
        origin.inputs.clear()
        client, sent = losing(first("POST"), behind)
        done = getattr(client.user(user_id), act)({"amount": 5})
        assert (done.succeeded, done.replayed, origin.inputs) == (True, True, [{"amount": 5}])
        keys = sent.header("Idempotency-Key")
        assert len(keys) == 2
        assert keys[0] == keys[1] != ""


@pytest.mark.parametrize(
    ("act", "options"), [("perform_action", {"timeout": 0}), ("attempt_action", {})]
)
def test_an_action_is_not_said_to_have_failed_while_an_earlier_try_may_run(
    losing: Losing, client: Client, user_id: int, act: str, options: dict[str, int]
) -> None:
    """Somebody has the lock, but that may be the try whose answer was lost."""
    with client.user(user_id).lock(expire=30):
        unheard, sent = losing(first("POST"), retry_limit=1.0)
        with pytest.raises(TransportError):
            getattr(unheard.user(user_id), act)(**options)
        assert len(sent.statuses) > 2
        heard, _ = losing(lambda *_: False)
        assert not heard.user(user_id).attempt_action().succeeded
        with pytest.raises(LockHeld):
            heard.user(user_id).perform_action(timeout=0)


def test_a_lock_is_renewed_at_a_third_of_its_expiry(losing: Losing, user_id: int) -> None:
    client, sent = losing(lambda *_: False)
    with client.user(user_id).lock(expire=1.5) as lease:
        time.sleep(1.7)
        assert 1.5 / 3 < lease.expires_in <= 1.5
    renewals = [request for request in sent.sent if request.method == "PUT"]
    # After a third, and after each third from then on; fewer, if the machine is slow.
    assert 1 <= len(renewals) <= 3


class Meddling(Lossy):
    """Gives the first answer to `method` itself, after passing the request on, or without."""

    def __init__(self, method: str, answer: httpx.Response, *, passes: bool) -> None:
        super().__init__()
        self._method = method
        self._answer: httpx.Response | None = answer
        self._passes = passes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != self._method or self._answer is None:
            return super().handle_request(request)
        answer, self._answer = self._answer, None
        if self._passes:
            super().handle_request(request)
        return answer


def test_a_renewal_that_finds_another_acquisition_loses_the_lock(
    service: Service, user_id: int
) -> None:
    """A repeated acquisition came late, and took the lock again."""
    told = {"token": "t", "fencing_token": 10**9, "expires_in": 30}
    again = httpx.Response(200, json=told, headers={"X-Request-Id": "again"})
    with httpx.Client(transport=Meddling("PUT", again, passes=True)) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(expire=30)
        lease = lock.acquire()
        with pytest.raises(LockLost, match="acquired again"):
            lease.renew()
        assert lease.lost.is_set()


def test_a_wait_that_the_service_cuts_short_goes_on(service: Service, user_id: int) -> None:
    """`request_limit` may be shorter than the timeout."""
    held = httpx.Response(423, json={"type": "urn:edgelatch:lock-held"})
    with httpx.Client(transport=Meddling("POST", held, passes=False)) as http:
        lock = Client(service.url, token=API_TOKEN, http=http).user(user_id).lock(timeout=5)
        lock.acquire().release()


def test_a_503_is_repeated_after_what_it_asks_for(own: tuple[Service, Redis]) -> None:
    service, redis = own
    redis.kill()
    with Client(service.url, retry_limit=0.5) as hasty, pytest.raises(RedisUnavailable):
        hasty.user(42).cache.get("n")
    starting = threading.Timer(0.5, redis.start)
    starting.start()
    with Client(service.url, retry_limit=20) as client:
        assert client.user(42).cache.set("n", 1).created
    starting.join()


@pytest.mark.parametrize("asked", ["-5", "-0.001", "0", "1e-9", "nan", "", "soon"])
def test_a_503_that_asks_for_no_pause_is_repeated_after_one(asked: str) -> None:
    class Refusing(httpx.BaseTransport):
        count = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.count += 1
            told = {"type": "urn:edgelatch:redis-unavailable"}
            return httpx.Response(503, json=told, headers={"Retry-After": asked})

    transport = Refusing()
    with httpx.Client(transport=transport) as http:
        client = Client("http://proxy.test", http=http, retry_limit=1)
        with pytest.raises(RedisUnavailable):
            client.user(1).cache.get("k")
    assert 1 < transport.count < 20


def test_giving_a_lock_back_takes_no_longer_than_it_may(losing: Losing, user_id: int) -> None:
    client, sent = losing(lambda request, _: request.method in ("POST", "DELETE"))
    with pytest.raises(TransportError):
        client.user(user_id).lock(expire=1).acquire()
    client.close()
    releases = [request for request in sent.sent if request.method == "DELETE"]
    # The first one is not in the background. The others have what is left of the second.
    limits = [request.extensions["timeout"]["read"] for request in releases[1:]]
    assert limits
    assert max(limits) <= 1


@pytest.mark.anyio
async def test_closing_a_client_waits_no_longer_than_it_says(
    service: Service, user_id: int, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    """Ten seconds, of which the test takes a tenth."""
    stuck = threading.Event()

    class Stuck(Lossy):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "DELETE" and threading.current_thread().name != "MainThread":
                assert stuck.wait(60)
            return super().handle_request(request)

    class AsyncStuck(AsyncLossy):
        deletes = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.deletes += request.method == "DELETE"
            if self.deletes > 1:
                with anyio.CancelScope(shield=True):
                    while not stuck.is_set():
                        await anyio.sleep(0.01)
            return await super().handle_async_request(request)

    with httpx.Client(transport=Stuck(every("POST"))) as http:
        client = Client(service.url, token=API_TOKEN, http=http)
        with pytest.raises(TransportError):
            client.user(user_id).lock(expire=60).acquire()
        async with httpx.AsyncClient(transport=AsyncStuck(every("POST"))) as async_http:
            async_client = AsyncClient(service.url, token=API_TOKEN, http=async_http)
            with pytest.raises(TransportError):
                await async_client.user(user_id).lock(expire=60).acquire()
            monkeypatch.setattr(edgelatch._acquiring, "GIVE_BACK_LIMIT", 1.0)
            # They would wait for ever.
            client.close()
            await async_client.aclose()
            stuck.set()
            monkeypatch.undo()
            await async_client.aclose()
        client.close()


@pytest.mark.parametrize("bad", [-1, -0.001, float("nan"), float("inf"), "5", True, [], 10**400])
def test_what_is_no_time_is_refused_before_anything_is_sent(
    losing: Losing, user_id: int, bad: Any
) -> None:
    client, sent = losing(lambda *_: False)
    user = client.user(user_id)
    for call in (
        lambda: user.lock(timeout=bad),
        lambda: user.lock(expire=bad),
        lambda: user.lock().watch(bad),
        lambda: user.get(expire=bad),
        lambda: user.perform_action(timeout=bad),
        lambda: user.attempt_action(expire=bad),
        lambda: user.cache.set("k", 1, expire=bad),
        lambda: user.cache.get_or_compute("k", lambda: 1, compute=bad),
        lambda: user.cache.get_or_compute("k", lambda: 1, timeout=bad),
        lambda: user.cache.get_or_compute("k", lambda: 1, refresh=bad),
        lambda: user.cache.get_or_compute("k", lambda: 1, expire=bad),
        lambda: Client(answer_limit=bad),
        lambda: AsyncClient(retry_limit=bad),
    ):
        with pytest.raises(ValueError, match="is no number of seconds"):
            call()
    assert not sent.sent


def test_what_needs_a_value_is_refused_without_one_before_anything_is_sent(
    losing: Losing, user_id: int
) -> None:
    client, sent = losing(lambda *_: False)
    user: Any = client.user(user_id)
    nothing: Any = None
    for call in (
        lambda: user.lock(timeout=None),
        lambda: user.lock(expire=None),
        lambda: user.lock(owner=5),
        lambda: user.lock().watch(None),
        lambda: user.lock().watch(1, after="7"),
        lambda: user.lock().force_release(None),
        lambda: user.perform_action(idempotency_key=5),
        lambda: user.cache.get_or_compute("k", lambda: 1, compute=None),
        lambda: user.cache.set("k", 1, if_match=5),
        lambda: Client(answer_limit=nothing),
        lambda: Client(answer_limit=0),
        lambda: AsyncClient(retry_limit=nothing),
    ):
        with pytest.raises(ValueError, match=r"is no|takes visible|a token is|in no time"):
            call()
    assert not sent.sent


@pytest.mark.parametrize("expire", [0.0009999, 2592000.0000001])
def test_times_are_sent_as_they_are_written(client: Client, user_id: int, expire: float) -> None:
    """The service checks them before it rounds."""
    with pytest.raises(InvalidRequest, match="than or equal"):
        client.user(user_id).cache.set("k", 1, expire=expire)
    with pytest.raises(InvalidRequest, match="than or equal"):
        client.user(user_id).lock(expire=expire).acquire()


def test_a_zero_with_a_sign_is_a_zero(client: Client, user_id: int) -> None:
    assert client.user(user_id).perform_action(timeout=-0.0).succeeded
    client.user(user_id).lock(timeout=-0.0).acquire().release()
    assert client.user(user_id).cache.get_or_compute("k", lambda: 1, refresh=-0.0) == 1
    with pytest.raises(ValueError, match="in no time"):
        Client(answer_limit=-0.0)


def test_times_are_written_without_exponents(client: Client, user_id: int) -> None:
    assert client.user(user_id).perform_action(timeout=0.00002).succeeded
    client.user(user_id).lock(timeout=0.00002).acquire().release()
