"""Answers of which each byte comes in time, but not all of them."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import anyio
import pytest

from edgelatch import AsyncClient, Client, Lease, LockLost, TransportError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
OURS = b"X-Request-Id: trickling\r\n"
GRANTED = b'{"token": "0123456789abcdef", "fencing_token": 7, "expires_in": 1}'


class Trickling:
    """A server that grants every lock at once, and whose other answers do not end."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._listener.close()

    def _serve(self) -> None:
        # Closed, it accepts no more.
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # The client hangs up when it has waited for long enough.
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(65536):
                if request.startswith(b"POST"):
                    length = f"Content-Length: {len(GRANTED)}\r\n\r\n".encode()
                    connection.sendall(b"HTTP/1.1 201 Created\r\n" + OURS + length + GRANTED)
                elif request.startswith(b"DELETE"):
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n" + OURS + b"\r\n")
                else:
                    connection.sendall(HEAD + (b"X-Long: " if self._part == "head" else b"\r\n"))
                    while not self._closed.wait(0.05):
                        connection.sendall(b" ")


@pytest.fixture(params=["head", "body"])
def part(request: pytest.FixtureRequest) -> str:
    """What trickles in."""
    part: str = request.param
    return part


@pytest.fixture
def trickling(part: str) -> Iterator[Trickling]:
    server = Trickling(part)
    yield server
    server.close()


def test_a_lock_is_known_to_be_lost_though_its_renewal_trickles_in(trickling: Trickling) -> None:
    told: list[Lease] = []
    with Client(trickling.url, answer_limit=60) as client:
        with pytest.raises(LockLost, match="expired before"):
            with client.user(1).lock(expire=1, on_lost=told.append) as lease:
                began = time.monotonic()
                assert lease.lost.wait(20)
                assert 0.8 < time.monotonic() - began < 1 + 1
                lease.check()
        assert told == [lease]


@pytest.mark.anyio
async def test_a_body_is_stopped_though_its_renewal_trickles_in(
    trickling: Trickling, anyio_backend: str
) -> None:
    async with AsyncClient(trickling.url, answer_limit=60) as client:
        with pytest.raises(LockLost, match="expired before"):
            async with client.user(1).lock(expire=1):
                began = time.monotonic()
                try:
                    await anyio.sleep(20)
                finally:
                    stopped = time.monotonic() - began
        assert 0.8 < stopped < 1 + 1


@pytest.mark.parametrize("part", ["body"])
def test_an_answer_that_trickles_in_is_bounded_as_a_whole(trickling: Trickling) -> None:
    with Client(trickling.url, answer_limit=0.5, retry_limit=0) as client:
        began = time.monotonic()
        with pytest.raises(TransportError) as slow:
            client.user(1).lock().status()
        assert slow.value.timed_out
        assert 0.4 < time.monotonic() - began < 0.5 + 1


@pytest.mark.anyio
async def test_an_answer_to_the_async_client_is_bounded_as_a_whole(
    trickling: Trickling, anyio_backend: str
) -> None:
    async with AsyncClient(trickling.url, answer_limit=0.5, retry_limit=0) as client:
        with anyio.fail_after(10), pytest.raises(TransportError) as slow:
            await client.user(1).lock().status()
        assert slow.value.timed_out
