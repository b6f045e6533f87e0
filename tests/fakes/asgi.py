"""Calls an ASGI application without a socket, on an event loop that lives as long as the app."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI
from starlette.types import Message

from tests.fakes.mlflow_webhook import Call

HOST = "127.0.0.1:8080"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever the application answers
        return json.loads(self.body)


class Client:
    """A client with the application's lifespan as its context."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._loop = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self._up = False

    def __enter__(self) -> Self:
        self._loop.run(self._lifespan.__aenter__())
        self._up = True
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self._loop.close()

    def stop(self) -> None:
        """End the lifespan as a server does that shuts down; calls can still be made."""
        if self._up:
            self._up = False
            self._loop.run(self._lifespan.__aexit__(None, None, None))

    def call(
        self,
        method: str,
        target: str,
        *,
        token: str | None = None,
        json: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Call the API as a person's tool does."""
        sent = {"host": HOST} | ({"authorization": f"Bearer {token}"} if token else {})
        body = b""
        if json is not None:
            sent["content-type"] = "application/json"
            body = _dump(json)
        return self.send(Call(method, target, sent | (headers or {}), body))

    def send(
        self, call: Call, *, chunks: Iterable[bytes] | None = None, stalls: bool = False
    ) -> Answer:
        """Send exactly this; ``chunks`` stream a body instead of the call's own.

        Where it ``stalls``, the body never ends.
        """
        parts = [call.body] if chunks is None else chunks
        return self._loop.run(self._send(call, parts, stalls=stalls))

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Send all of these at the same time."""

        async def together() -> list[Answer]:
            return list(await asyncio.gather(*(self._send(call, [call.body]) for call in calls)))

        return self._loop.run(together())

    async def _send(self, call: Call, chunks: Iterable[bytes], *, stalls: bool = False) -> Answer:
        arriving: Iterator[Message] = chain(
            ({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks),
            [{"type": "http.request", "body": b"", "more_body": False}],
            repeat({"type": "http.disconnect"}),
        )
        answered: list[Message] = []

        async def receive() -> Message:
            message = next(arriving)
            if stalls and not message.get("more_body"):
                await asyncio.Event().wait()
            return message

        async def send(message: Message) -> None:
            answered.append(message)

        try:
            await self._app(_scope(call), receive, send)
        except Exception:  # Starlette answers 500 first and then raises on, for the server's log
            if not answered:
                raise
        return _answer(answered)


def _scope(call: Call) -> dict[str, Any]:
    parts = urlsplit(call.path)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},  # a stream goes on though all is sent
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in call.headers.items()
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
    }


def _answer(messages: list[Message]) -> Answer:
    start = messages[0]
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in messages[1:]))


def _dump(content: object) -> bytes:
    return json.dumps(content).encode()
