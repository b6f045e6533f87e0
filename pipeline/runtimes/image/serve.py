"""The HTTP door of every runtime: it opens at once and says "not ready" until the model is loaded.

Runs inside images, as ``/opt/laurel/serve``, with the image's own packages. It listens on the
descriptor that ``LAUREL_LISTEN_FD`` names (bound and listening already, in another network than
ours), else on port 8080; it opens no other connection and writes nothing. What stands beside it
as ``laurel_runtime.py`` loads the model and answers for it.
"""

import asyncio
import gc
import importlib
import os
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_SECONDS_TO_DRAIN = 20
_SECONDS_IDLE = 120
"""Longer than the 90 s for which Go's clients keep a connection, Knative's queue-proxy among them:
who closes one that is just being used again loses a request.
"""


class Door:
    """An ASGI application that answers for the model until the model can answer for itself."""

    def __init__(self) -> None:
        self.app: App | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer ``/v2/health/*`` here and pass everything else on."""
        if scope["path"] == "/v2/health/live":
            await _answer(send, 200)
        elif self.app is None:
            await _answer(send, 503)
        elif scope["path"] == "/v2/health/ready":
            await _answer(send, 200)
        else:
            await self.app(_said_to_be_json(scope), receive, send)


def _said_to_be_json(scope: Message) -> Message:
    """Take a body of unnamed type for JSON: MLflow's server answers 500 to it, as if at fault."""
    headers = scope["headers"]
    if any(name == b"content-type" for name, _ in headers):
        return scope
    return {**scope, "headers": [*headers, (b"content-type", b"application/json")]}


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _serve() -> int:
    door = Door()
    config = uvicorn.Config(
        door,
        lifespan="off",
        access_log=False,
        log_level="warning",
        ws="none",
        timeout_graceful_shutdown=_SECONDS_TO_DRAIN,
        timeout_keep_alive=_SECONDS_IDLE,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[_listening_socket()]))
    try:
        door.app = await asyncio.to_thread(_load)
    except Exception:  # noqa: BLE001 - whatever a model's code raises, the person has to see it
        traceback.print_exc()
        server.should_exit = True
        await serving
        return 1
    # What loading left behind lives as long as the server: without this, each full collection
    # walks MLflow's whole heap, and one request in a hundred waits for it.
    gc.collect()
    gc.freeze()
    await serving
    return 0


def _load() -> App:
    root = os.environ.get("LAUREL_ROOT", "")
    app: App = importlib.import_module("laurel_runtime").load(root + "/mnt/models")
    return app


def _listening_socket() -> socket.socket:
    inherited = os.environ.get("LAUREL_LISTEN_FD")
    if inherited:
        return socket.socket(fileno=int(inherited))
    return socket.create_server(("0.0.0.0", 8080), backlog=2048)  # noqa: S104 - a container's port


if __name__ == "__main__":
    os.dup2(1, 2)  # one stream, in the order in which things happened
    sys.exit(asyncio.run(_serve()))
