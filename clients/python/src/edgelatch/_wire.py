"""Requests and answers as values. Nothing here sends anything."""

import json
import math
import re
import sys
import time
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeGuard
from urllib.parse import quote

import httpx

from edgelatch.errors import BY_SLUG, BY_STATUS, Problem
from edgelatch.results import ActionResult, Entry, LockStatus, NotModified, Stored

UserId = int | str | uuid.UUID

USERS = "/api/v1/users"


@dataclass(frozen=True, slots=True)
class Call:
    """A request. Headers may hold tokens, so `repr` leaves them out."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and when its request was sent by the monotonic clock."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    sent: float

    @classmethod
    def of(cls, response: httpx.Response, body: bytes, sent: float) -> "Reply":
        return cls(response.status_code, response.headers, body, sent)

    def is_answer(self, *statuses: int) -> bool:
        """Whether the service gave it, with one of these statuses.

        Each of its answers has an `X-Request-Id`. A page of a proxy has none.
        """
        return self.status in statuses and bool(self.headers.get("x-request-id"))

    def etag(self) -> str:
        """Its entity tag. Raises `Problem` if it has none, as every entry of the service has."""
        tag: str = self.headers.get("etag", "")
        if not tag:
            raise self.stranger()
        return tag

    def json(self) -> Any:
        """Its JSON. Raises `Problem` if it is none, or nested too deep: a proxy answered, say."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Problem(self.status, "", "the answer is not JSON") from None

    def stranger(self) -> Problem:
        """For an answer that the service does not give: from a proxy, say."""
        return Problem(self.status, "", "the answer is not one of edgelatch")

    def members(self) -> dict[str, Any]:
        """Its JSON object. Raises `Problem` if it is no object."""
        body = self.json()
        if not isinstance(body, dict):
            raise self.stranger()
        return body

    def granted(self) -> tuple[int, float]:
        """The fencing token, and the seconds until the lock expires. Raises `Problem`."""
        body = self.members()
        number, left = body.get("fencing_token"), body.get("expires_in")
        if not is_whole(number) or not is_number(left):
            raise self.stranger()
        return number, left

    def number(self, header: str) -> float | None:
        """A header's number; None if it is absent or no number."""
        try:
            number = float(self.headers[header])
        except (KeyError, ValueError):
            return None
        return number if math.isfinite(number) else None

    def whole(self, header: str) -> int | None:
        """A header's whole number; None if it is absent, or no number that fits i64."""
        value = self.headers.get(header, "")
        return int(value) if re.fullmatch("[0-9]{1,18}", value) else None

    def granted_since(self, *, might_wait: bool) -> float:
        """The earliest moment at which the service can have granted what was asked for.

        Its expiry counts from there: from the arrival of the answer it would leave out the way of
        it. If the request might wait, the service tells when it sent its last try, counted from
        when the request came. A proxy may remove that.
        """
        timing = self.headers.get("server-timing", "") if might_wait else ""
        waited = _WAITED.search(timing)
        if waited is None:
            return self.sent
        return min(self.sent + float(waited[1]) / 1000, time.monotonic())


_WAITED = re.compile(r"(?:^|[\s,])wait;dur=([0-9]+(?:\.[0-9]+)?)\s*(?:[,;]|$)")


def is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is one that a float can hold."""
    return (is_whole(value) or isinstance(value, float)) and abs(value) <= sys.float_info.max


def segment(value: UserId, what: str) -> str:
    """One segment of a path, percent-encoded."""
    if isinstance(value, bool) or not isinstance(value, (int, str, uuid.UUID)):
        raise TypeError(f"a {what} is an int, a str or a uuid.UUID, not {type(value).__name__}")
    text = str(value)
    if text in ("", ".", ".."):
        # A URL would name another resource.
        raise ValueError(f"{text!r} is no {what}")
    return quote(text, safe="")


def seconds(value: float, what: str) -> str:
    """A time as it was written, since the service checks it before it rounds.

    In digits and decimals: the service knows no exponents.
    """
    if not is_number(value) or value < 0:
        raise ValueError(f"{what}: {value!r} is no number of seconds")
    # A zero may have a sign.
    text = f"{Decimal(repr(abs(float(value)))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def params(**values: float | None) -> dict[str, str]:
    return {name: seconds(value, name) for name, value in values.items() if value is not None}


_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_TOKEN = re.compile(r"[!-~]+")


def headers(values: Mapping[str, str | None]) -> dict[str, str]:
    """The headers that have a value. Raises `ValueError`, without the value, if it is none.

    Neither is an empty one, nor one with a space at an end: RFC 9110, section 5.5, has no such
    value, and h11 refuses to send it.
    """
    present = {name: value for name, value in values.items() if value is not None}
    for name, value in present.items():
        # httpx would quote it in its error, and it may be a token.
        if not isinstance(value, str) or _HEADER_VALUE.fullmatch(value) is None:
            raise ValueError(f"{name} takes visible ASCII, and spaces between")
    return present


def authorization(token: str) -> dict[str, str]:
    """The header of a token. White space around it is left out: a file ends with a newline."""
    bare = token.strip() if isinstance(token, str) else ""
    if _TOKEN.fullmatch(bare) is None:
        raise ValueError("a token is visible ASCII without spaces, and not empty")
    return {"Authorization": f"Bearer {bare}"}


def service_at(url: str, token: str | None) -> tuple[str, dict[str, str]]:
    """Where the service is, without a slash at the end, and what goes with each request.

    A login is taken out of the address, which httpx writes to the log, and is sent as httpx would.
    Raises `ValueError` without the address: it may hold a password.
    """
    good = isinstance(url, str) and url.startswith(("http://", "https://"))
    if not good or "?" in url or "#" in url:
        raise ValueError("the URL of edgelatch is http:// or https://, without query and fragment")
    if "@" in re.sub(r"^https?://[^/]*", "", url):
        # A slash in a password makes a path of the rest of it.
        raise ValueError(
            "the URL of edgelatch has an @ in its path: / in a login is %2F, @ in a path is %40"
        )
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode()
        # httpx decodes the one and the resolver encodes the other, and both may fail.
        good = parsed.host != "" and host.encode("idna") != b""
        # It is a name that has to be encoded, or an address with a zone.
        good = good and ("%" not in host or ":" in host)
        good = good and (parsed.port is None or 0 < parsed.port < 65536)
    except (httpx.InvalidURL, ValueError):
        good = False
    if not good:
        raise ValueError("the URL of edgelatch has no host or port that there can be")
    if not parsed.userinfo:
        return url.rstrip("/"), {} if token is None else authorization(token)
    if token is not None:
        raise ValueError(
            "the URL of edgelatch has a login: there is no place for a token beside it"
        )
    bare = re.sub(r"^(https?://)[^/]*@", r"\1", url)
    login = b64encode(f"{parsed.username}:{parsed.password}".encode()).decode()
    return bare.rstrip("/"), {"Authorization": f"Basic {login}"}


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


_URN = "urn:edgelatch:"


def problem(reply: Reply) -> Problem:
    """The exception that an answer stands for."""
    try:
        members = reply.members()
    except Problem:
        members = {}
    kind = members.pop("type", "")
    slug = kind.removeprefix(_URN) if isinstance(kind, str) and kind.startswith(_URN) else ""
    detail = members.pop("detail", None)
    errors = members.pop("errors", None)
    # The status of a proxy says nothing of the lock, the entry or the origin.
    by_status = BY_STATUS.get(reply.status, Problem) if slug else Problem
    return BY_SLUG.get(slug, by_status)(
        reply.status,
        slug,
        detail if isinstance(detail, str) else said_by(reply),
        errors=errors if isinstance(errors, list) else None,
        request_id=reply.headers.get("x-request-id"),
        retry_after=reply.whole("retry-after"),
        members=members,
    )


def said_by(reply: Reply) -> str:
    """What can be said of an answer that says nothing."""
    return str(reply.stranger()) if reply.status < 400 else f"the answer is {reply.status}"


def max_age(reply: Reply) -> int | None:
    found = re.search(r"\bmax-age=([0-9]{1,18})\b", reply.headers.get("cache-control", ""))
    return int(found[1]) if found else None


def entry(reply: Reply) -> Entry:
    """The entry of an answer of 200. Raises `Problem` for any other."""
    if not reply.is_answer(200):
        raise problem(reply)
    return Entry(reply.json(), reply.etag(), max_age(reply))


def found(reply: Reply) -> Entry | NotModified | None:
    """The answer to a GET of an entry."""
    if reply.is_answer(304):
        return NotModified(reply.etag(), max_age(reply))
    if reply.status == 404 and problem(reply).slug == "not-found":
        return None
    return entry(reply)


def stored(reply: Reply) -> Stored:
    if not reply.is_answer(200, 201):
        raise problem(reply)
    if reply.body:
        raise reply.stranger()
    return Stored(reply.etag(), reply.status == 201)


def action_result(reply: Reply) -> ActionResult:
    if not reply.is_answer(200):
        raise problem(reply)
    body = reply.members()
    status = body.get("status")
    if status not in ("success", "failed"):
        raise reply.stranger()
    waited = reply.number("lock-wait")
    return ActionResult(
        succeeded=status == "success",
        result=body.get("result"),
        fencing_token=reply.whole("fencing-token"),
        lock_wait=None if waited is None else waited / 1000,
        replayed=reply.headers.get("idempotent-replayed") == "true",
        retry_after=reply.whole("retry-after"),
    )


def lock_status(reply: Reply) -> LockStatus:
    if not reply.is_answer(200):
        raise problem(reply)
    body = reply.members()
    held = body.get("held")
    number, left = body.get("fencing_token"), body.get("expires_in")
    owner, waiting = body.get("owner"), body.get("waiting")
    if (
        not isinstance(held, bool)
        or not (number is None or is_whole(number))
        or not (left is None or is_number(left))
        or not (owner is None or isinstance(owner, str))
        or not (waiting is None or is_whole(waiting))
    ):
        raise reply.stranger()
    return LockStatus(held, number, left, owner, waiting)
