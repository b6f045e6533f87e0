"""One repository on one registry, and the calls that concern it."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import urllib3

from pipeline.distribution.patience import Patience
from pipeline.distribution.request import Place, Request, Scope
from pipeline.distribution.transport import Transport

PULL = ("pull",)
PUSH = ("pull", "push")
DELETE = ("delete", "pull")
_SILENCE = {"PATCH": 120.0, "PUT": 900.0}
"""Seconds until an answer: a registry may store gigabytes first, or hash them."""
_LEAVING = 5.0
"""Seconds until an answer for which somebody who leaves would wait."""

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Repository:
    """Where images lie, and how it is asked.

    ``patience`` makes what a call that broke is repeated with; each operation takes a new one.
    """

    transport: Transport
    place: Place
    patience: Callable[[], Patience] = Patience

    @classmethod
    def of(cls, transport: Transport, name: str, patience: Callable[[], Patience]) -> Self:
        """Take a repository by its whole name; ``InvalidReferenceError`` without a registry."""
        return cls(transport, Place.of(name), patience)

    def __str__(self) -> str:
        return str(self.place)

    def call(  # noqa: PLR0913 - what a call consists of
        self,
        method: str,
        target: str,
        attempted: str,
        actions: tuple[str, ...] = PULL,
        *,
        headers: Mapping[str, str] = _NOTHING,
        body: tuple[Callable[[], Iterable[bytes]], int] | None = None,
        also: tuple[Scope, ...] = (),
        leaving: bool = False,
    ) -> AbstractContextManager[urllib3.BaseHTTPResponse]:
        """Make one call.

        Parameters
        ----------
        method, target
            Verb, and what stands behind the repository's own path, ``blobs/sha256:…``; one with a
            leading slash, or a whole URL, is taken as it is.
        attempted
            For errors.
        actions, also
            What is needed of this repository, and of others.
        headers
            Beside those that say who is asking.
        body
            How its bytes are read, and their number.
        leaving
            Nobody needs the answer: it is asked for once, and not waited for long.

        """
        whole = target.startswith("/") or "://" in target
        chunks, size = body or (None, 0)
        return self.transport.open(
            Request(
                method,
                self.place.host,
                target if whole else f"/v2/{self.place.path}/{target}",
                (Scope(self.place.path, actions), *also),
                attempted,
                str(self),
                headers,
                chunks,
                size,
                _LEAVING if leaving else _SILENCE.get(method, 60.0),
                leaving,
            )
        )
