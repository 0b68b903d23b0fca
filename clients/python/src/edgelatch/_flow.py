"""What the sync and the async client have in common: when to send, pause, repeat and give up.

A flow is a generator. It yields `Send`, `Pause` and `Later`; whoever drives it carries them out,
and sends back a `Reply`, or the `TransportError` that came instead.
"""

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from edgelatch._wire import Call, Reply, problem, seconds
from edgelatch.errors import Problem, TransportError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request, and wait for its answer for `limit` seconds."""

    call: Call
    limit: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Later:
    """Carry out a flow in the background. Nobody learns what becomes of it."""

    flow: "Flow[None]"


Step = Send | Pause | Later
Flow = Generator[Step, Reply | TransportError | None, T]


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a client is, in seconds."""

    answer: float
    """How long an answer may take, besides what it is asked to wait for."""
    retry: float
    """For how long failed calls are repeated."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for what is no time, before anything is sent."""
        seconds(self.retry, "retry_limit")
        if seconds(self.answer, "answer_limit") == "0":
            raise ValueError("answer_limit: no answer comes in no time")


Failure = TransportError | Problem
"""Why a try has no answer, or none that says what became of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last answer, and the last failure of an earlier try that may have been carried out."""

    reply: Reply
    doubt: Failure | None


def backoff(tries: int) -> float:
    """Seconds before the next try: 0.1, 0.2, 0.4 to 1, less up to a half of it.

    The jitter keeps clients apart that failed at the same moment.
    """
    return float(min(0.1 * 2 ** min(tries, 4), 1.0)) * random.uniform(0.5, 1.0)  # noqa: S311


def once(call: Call, limit: float) -> Flow[Reply | TransportError]:
    """One try."""
    answer = yield Send(call, limit)
    if answer is None:
        raise TypeError("the driver of a flow answers each Send")
    return answer


def repeated(call: Callable[[], Call], limit: Callable[[], float], until: float) -> Flow[Outcome]:
    """Sends until there is an answer, `until` at the most. Only for what is safe to repeat.

    Repeated are transport errors, and 503 with `Retry-After`. A connection that was closed is met
    once with another at once, also if `until` has passed: an idle one may be closed at any time.
    The failure that is raised is the last one of a try that may have been carried out, if any.
    """
    tries = 0
    doubt: Failure | None = None
    while True:
        answer = yield from once(call(), limit())
        if isinstance(answer, TransportError):
            at_once = tries == 0 and not answer.timed_out
            pause = 0.0 if at_once else backoff(tries)
            failure: Failure = answer
        elif answer.status == 503 and "retry-after" in answer.headers:
            at_once = False
            asked = answer.whole("retry-after") or 0
            pause = max(asked * random.uniform(1.0, 1.2), backoff(tries))  # noqa: S311
            failure = problem(answer)
        else:
            return Outcome(answer, doubt)
        if not isinstance(failure, TransportError) or failure.sent:
            doubt = failure
        if not at_once and time.monotonic() + pause >= until:
            raise doubt or failure
        if pause > 0:
            yield Pause(pause)
        tries += 1


def ask(call: Call, limits: Limits, *, waits: float = 0) -> Flow[Outcome]:
    """A call that is safe to repeat. `waits`: seconds that it asks the service to wait."""
    limit = limits.answer + waits
    until = time.monotonic() + limits.retry
    return (yield from repeated(lambda: call, lambda: limit, until))
