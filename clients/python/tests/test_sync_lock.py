"""A lock around a sync body."""

import threading
import time

import httpx
import pytest
from conftest import ADMIN_TOKEN, API_TOKEN, Redis, Service

from edgelatch import Client, Forbidden, Lease, LockHeld, LockLost, Problem, TransportError


def test_a_lock_is_held_renewed_and_given_back(client: Client, user_id: int) -> None:
    lock = client.user(user_id).lock("nightly", expire=0.6)
    with lock as lease:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            lease.check()
            assert lock.status().fencing_token == lease.fencing_token
        with pytest.raises(LockHeld):
            client.user(user_id).lock("nightly").acquire()
    assert not lock.status().held
    assert not lease.lost.is_set()


def test_a_lost_lock_is_told_within_a_second_of_the_renewal(
    client: Client, redis: Redis, user_id: int
) -> None:
    told: list[Lease] = []
    with pytest.raises(LockLost):
        with client.user(user_id).lock(expire=3, on_lost=told.append) as lease:
            redis.delete(f"user:{user_id}:lock")
            # The next renewal, a third of the expiry after the acquisition, finds out.
            assert lease.lost.wait(1.0 + 1.0)
            with pytest.raises(LockLost):
                lease.check()
    assert told == [lease]


def test_a_paused_redis_loses_the_lock_when_it_has_expired(own: tuple[Service, Redis]) -> None:
    service, redis = own
    with Client(service.url) as client:
        with pytest.raises(LockLost):
            with client.user(42).lock(expire=2) as lease:
                began = time.monotonic()
                redis.pause()
                assert lease.lost.wait(3.0)
                assert time.monotonic() - began > 1.5
    redis.resume()


def test_a_paused_service_loses_the_lock_when_it_has_expired(own: tuple[Service, Redis]) -> None:
    service, _ = own
    with Client(service.url) as client:
        with pytest.raises(LockLost):
            with client.user(42).lock(expire=2) as lease:
                service.pause()
                assert lease.lost.wait(3.0)
    service.resume()


def test_the_bodys_exception_is_not_masked(own: tuple[Service, Redis]) -> None:
    service, _ = own
    with Client(service.url) as client:
        with pytest.raises(KeyError) as error:
            with client.user(42).lock(expire=1):
                service.stop()
                raise KeyError("mine")
        assert "edgelatch: " in error.value.__notes__[0]
        with pytest.raises(TransportError):
            client.user(42).lock().acquire()


def test_two_threads_are_never_in_at_once(client: Client, user_id: int) -> None:
    inside = 0
    entered = 0

    def work() -> None:
        nonlocal inside, entered
        for _ in range(5):
            with client.user(user_id).lock(timeout=30):
                inside += 1
                entered += 1
                assert inside == 1
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered == 30


def test_a_lock_of_a_stranger_has_no_fencing_token(
    client: Client, redis: Redis, user_id: int
) -> None:
    redis.client.set(f"user:{user_id}:lock", "1", ex=60)
    status = client.user(user_id).lock().status()
    assert (status.held, status.fencing_token) == (True, None)


def test_watch_returns_when_the_lock_is_free(client: Client, user_id: int) -> None:
    lock = client.user(user_id).lock(expire=30)
    lease = lock.acquire()
    assert lock.watch(0.2, after=lease.fencing_token).held
    releasing = threading.Timer(0.2, lease.release)
    releasing.start()
    assert not lock.watch(20).held
    releasing.join()


def test_force_release_needs_the_admin_token(client: Client, user_id: int) -> None:
    lock = client.user(user_id).lock(expire=30)
    lease = lock.acquire()
    with pytest.raises(Forbidden) as refused:
        lock.force_release(API_TOKEN)
    assert refused.value.slug == "admin-only"
    lock.force_release(ADMIN_TOKEN)
    with pytest.raises(LockLost):
        lease.renew()


def test_a_lock_that_was_waited_for_is_held_for_its_whole_expiry(
    client: Client, user_id: int
) -> None:
    first = client.user(user_id).lock(expire=30).acquire()
    # Longer than the expiry of the second lock.
    releasing = threading.Timer(1.0, first.release)
    releasing.start()
    second = client.user(user_id).lock(timeout=20, expire=0.6).acquire()
    assert 0.2 < second.expires_in <= 0.6
    second.release()
    releasing.join()


class Once(httpx.HTTPTransport):
    """Passes requests on. Their answers are lost, or another one takes their place."""

    def __init__(self, instead: httpx.Response | None) -> None:
        super().__init__()
        self.sent: list[str] = []
        self._instead = instead

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        super().handle_request(request).read()
        self.sent.append(request.method)
        if self._instead is None:
            raise httpx.ReadError("the connection broke", request=request)
        return self._instead


@pytest.mark.parametrize(
    ("instead", "error"),
    [(None, TransportError), (httpx.Response(503, headers={"Retry-After": "0"}), Problem)],
)
def test_force_release_is_sent_once(
    service: Service,
    client: Client,
    user_id: int,
    instead: httpx.Response | None,
    error: type[Exception],
) -> None:
    client.user(user_id).lock(expire=30).acquire()
    transport = Once(instead)
    with httpx.Client(transport=transport) as http:
        operator = Client(service.url, token=API_TOKEN, http=http)
        with pytest.raises(error):
            operator.user(user_id).lock().force_release(ADMIN_TOKEN)
    assert transport.sent == ["DELETE"]
    assert not client.user(user_id).lock().status().held
