"""uvicorn, as the command line runs it."""

import socket
from collections.abc import Callable

import uvicorn
from uvicorn._types import ASGIApplication

_LAST_ANSWERS = 10
"""Seconds that calls already taken on have, once told to stop."""


class _Announcing(uvicorn.Server):
    """Says when it answers, neither before nor never, and when it is about to stop."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; what would go on for ever is ended first."""
        self._stopping()
        await super().shutdown(sockets)


def answer(
    app: ASGIApplication,
    listener: socket.socket,
    ready: Callable[[], None],
    stopping: Callable[[], None],
) -> None:
    """Answer HTTP on this socket until a signal, logging as the process does."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    _Announcing(config, ready, stopping).run(sockets=[listener])
