"""Transports between a client and the service that lose answers, or give others."""

from collections import Counter
from collections.abc import Callable

import httpx

Loses = Callable[[httpx.Request, int], bool]
"""Whether the answer to a request is lost; with the number of those with its method, from 1."""


class Recorder:
    """What was sent, and which statuses were answered."""

    def __init__(self, loses: Loses) -> None:
        self.sent: list[httpx.Request] = []
        self.statuses: list[int] = []
        self._loses = loses
        self._counts = Counter[str]()

    def deliver(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        self.sent.append(request)
        self.statuses.append(response.status_code)
        self._counts[request.method] += 1
        if self._loses(request, self._counts[request.method]):
            raise httpx.ReadError("the connection broke", request=request)
        return response

    def header(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.sent]


class Lossy(httpx.HTTPTransport, Recorder):
    """Sends requests, and loses answers on their way back."""

    def __init__(self, loses: Loses = lambda *_: False) -> None:
        httpx.HTTPTransport.__init__(self)
        Recorder.__init__(self, loses)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        response.read()
        return self.deliver(request, response)


class AsyncLossy(httpx.AsyncHTTPTransport, Recorder):
    """The same for the async client."""

    def __init__(self, loses: Loses = lambda *_: False) -> None:
        httpx.AsyncHTTPTransport.__init__(self)
        Recorder.__init__(self, loses)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        await response.aread()
        return self.deliver(request, response)


def first(method: str) -> Loses:
    """Loses the first answer to this method."""
    return lambda request, nth: request.method == method and nth == 1


def every(method: str) -> Loses:
    """Loses every answer to this method."""
    return lambda request, _: request.method == method
