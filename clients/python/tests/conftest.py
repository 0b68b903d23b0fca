"""Starts a real Redis and the real service for the tests.

EDGELATCH_HOST names the host program (`target/debug/edgelatch-host`), EDGELATCH_MANIFEST the
`spin.toml` to serve, EDGELATCH_REDIS_BIN the Redis server.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py

import edgelatch

ROOT = Path(__file__).resolve().parents[3]
API_TOKEN = "an-api-token-of-the-tests"
ADMIN_TOKEN = "an-admin-token-of-the-tests"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def stop(process: subprocess.Popen[str]) -> None:
    """Stops a process where it is, and waits until all of its threads have stopped."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


class Redis:
    """A Redis server of its own. `client` is a stranger's connection to it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self.client = redis_py.Redis(port=self.port, decode_responses=True)
        self.start()

    def start(self) -> None:
        program = (
            os.environ.get("EDGELATCH_REDIS_BIN") or shutil.which("redis-server") or "redis-server"
        )
        command = [program, "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "Ready to accept connections" in line:
                return
        raise AssertionError("Redis did not start")

    def pause(self) -> None:
        stop(self._process)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def delete(self, key: str) -> None:
        assert self.client.delete(key) == 1

    def close(self) -> None:
        self.client.close()
        if self._process.poll() is None:
            self.resume()
            self.kill()


class Service:
    """The service as a process."""

    def __init__(self, redis: Redis, folder: Path, **variables: str) -> None:
        self._redis = redis
        self._folder = folder
        self._variables = variables
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        settings = {"redis_port": str(self._redis.port), **self._variables}
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SPIN_")
        }
        environment |= {f"SPIN_VARIABLE_{name.upper()}": it for name, it in settings.items()}
        host = os.environ.get("EDGELATCH_HOST", str(ROOT / "target/debug/edgelatch-host"))
        manifest = os.environ.get("EDGELATCH_MANIFEST", str(ROOT / "spin.toml"))
        command = [host, "up", "--from", manifest, "--listen", f"127.0.0.1:{self.port}"]
        with (self._folder / "service.log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--state-dir", str(self._folder / "state")],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Serving http://"):
                return
        raise AssertionError((self._folder / "service.log").read_text())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def pause(self) -> None:
        stop(self._process)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process.poll() is None:
            self.stop()


Start = Callable[..., tuple[Service, Redis]]


@pytest.fixture(scope="session")
def _start() -> Iterator[Start]:
    started: list[Service | Redis] = []
    with tempfile.TemporaryDirectory() as name:

        def start(**variables: str) -> tuple[Service, Redis]:
            folder = Path(name) / str(len(started))
            folder.mkdir()
            redis = Redis(folder)
            started.append(redis)
            service = Service(redis, folder, **variables)
            started.append(service)
            return service, redis

        yield start
        for process in reversed(started):
            process.close()


@pytest.fixture(scope="session")
def _shared(_start: Start) -> tuple[Service, Redis]:
    return _start(api_token=API_TOKEN, admin_token=ADMIN_TOKEN)


@pytest.fixture
def service(_shared: tuple[Service, Redis]) -> Service:
    """A service with an API token, which tests share. Its users are theirs: see `user_id`."""
    return _shared[0]


@pytest.fixture
def redis(_shared: tuple[Service, Redis]) -> Redis:
    """The Redis of `service`. Tests that break it have `own`."""
    return _shared[1]


@pytest.fixture
def own(_start: Start) -> tuple[Service, Redis]:
    """A service and a Redis that the test may break."""
    return _start()


USERS = iter(range(1, 1_000_000))


@pytest.fixture
def user_id() -> int:
    """A user that no other test has."""
    return next(USERS)


@pytest.fixture
def client(service: Service) -> Iterator[edgelatch.Client]:
    with edgelatch.Client(service.url, token=API_TOKEN) as client:
        yield client


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture
async def async_client(
    service: Service, anyio_backend: str
) -> AsyncIterator[edgelatch.AsyncClient]:
    async with edgelatch.AsyncClient(service.url, token=API_TOKEN) as client:
        yield client
