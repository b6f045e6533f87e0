"""One file behind a link that is good for minutes; an expired one is asked for again."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import urllib3

from pipeline.adapters.artifact_listing import ATTEMPTED, changed
from pipeline.adapters.ranged import Answer, total_of
from pipeline.domain.evidence import StoredFile
from pipeline.errors import (
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from pipeline.proxies import Pools

_CHUNK = 1 << 20
_URL = re.compile(r"https?://[!-~]{1,8192}\Z")
_NAME = re.compile(r"[0-9A-Za-z-]{1,100}\Z")
_VALUE = re.compile(r"[ -~]{0,8192}\Z")
_OVER = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_CHANGED = frozenset({HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})


@dataclass(frozen=True, slots=True)
class Link:
    """A URL that reads one file, and the headers that belong to it; never printed."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)

    @classmethod
    def parse(cls, told: dict[str, Any], subject: str) -> Self:
        """Read MLflow's answer."""
        url, headers = told.get("url"), told.get("headers") or {}
        if not (isinstance(url, str) and _URL.match(url) and _are_headers(headers)):
            raise PermanentError(
                ATTEMPTED, subject, "MLflow's link to it is no http(s) URL: look at its log"
            )
        return cls(url, headers)


class LinkedFile:
    """A file in parts (:class:`pipeline.adapters.ranged.Parts`), by links that ``ask`` makes."""

    def __init__(self, pools: Pools, ask: Callable[[], Link], file: StoredFile) -> None:
        self._pools = pools
        self._ask = ask
        self._file = file
        self._asking = threading.Lock()
        self._link: Link | None = None

    @contextmanager
    def open(self, first: int, last: int, etag: str) -> Iterator[Answer]:
        """Ask for a part; the link of another part that had expired as well is used."""
        whole = first == 0 and last + 1 == self._file.size
        asked = {"Accept-Encoding": "identity"}
        asked |= {} if whole else {"Range": f"bytes={first}-{last}"}
        asked |= {"If-Match": etag} if etag else {}
        try:
            response = self._get(asked)
            try:
                self._refuse(response, HTTPStatus.OK if whole else HTTPStatus.PARTIAL_CONTENT)
                yield _answer(response, whole=whole)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(
                ATTEMPTED,
                f"the store behind MLflow, {self._file.path}",
                f"it does not answer, or not to the end ({type(error).__name__})",
            ) from None  # its text holds the link

    def _get(self, asked: dict[str, str]) -> urllib3.BaseHTTPResponse:
        link = self._valid(None)
        response = self._request(link, asked)
        if response.status not in _OVER:
            return response
        response.close()
        return self._request(self._valid(link), asked)

    def _valid(self, over: Link | None) -> Link:
        """Give the link, a new one where there is none or it is ``over``."""
        with self._asking:
            if self._link is None or self._link is over:
                self._link = self._ask()
            return self._link

    def _request(self, link: Link, asked: dict[str, str]) -> urllib3.BaseHTTPResponse:
        return self._pools.request(
            "GET", link.url, headers=link.headers | asked, preload_content=False, redirect=False
        )

    def _refuse(self, response: urllib3.BaseHTTPResponse, wanted: HTTPStatus) -> None:
        status, path = response.status, self._file.path
        said = f"the store behind MLflow answers {status}"
        if status in _CHANGED:
            raise changed(self._file)
        if status in _OVER:
            raise ForbiddenError(
                ATTEMPTED, path, f"{said} to a link that MLflow has just made: look at its log"
            )
        if status == HTTPStatus.NOT_FOUND:
            raise NotFoundError(ATTEMPTED, path, f"{said}; was it deleted?")
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            raise RateLimitedError(ATTEMPTED, f"the store behind MLflow, {path}", said)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnavailableError(ATTEMPTED, f"the store behind MLflow, {path}", said)
        if status != wanted:
            raise PermanentError(ATTEMPTED, path, f"{said}: it redirects, or ignores ranges")


def _are_headers(said: object) -> bool:
    """Tell whether all of it can be sent: else the error for it would repeat it."""
    return isinstance(said, dict) and all(
        isinstance(value, str) and _NAME.match(name) and _VALUE.match(value)
        for name, value in said.items()
    )


def _answer(response: urllib3.BaseHTTPResponse, *, whole: bool) -> Answer:
    total = response.headers.get("Content-Length" if whole else "Content-Range")
    etag = response.headers.get("ETag", "")
    return Answer(
        "" if etag.startswith("W/") else etag,  # If-Match never matches a weak one
        total_of(total),
        response.stream(_CHUNK, decode_content=False),
    )
