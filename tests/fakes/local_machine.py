"""The local serving target in a folder of its own: real Envoy, real sandboxes, all ended after."""

import http.client
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.adapters.local_serving import LocalServing
from pipeline.local.front import Front
from pipeline.local.processes import Process
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor
from tests.fakes.served_image import ImageMaker

_PATIENCE = 30.0


class LocalMachine:
    """Everything that ``serving: local`` consists of, as ``wiring`` puts it together."""

    def __init__(
        self, folder: Path, images: ImageMaker, *, isolated: bool = True, port: int = 0
    ) -> None:
        self.folder = folder / "serving"
        self.folder.mkdir(exist_ok=True)
        self.port = port or free_port()
        self.front = Front(self.folder, port=self.port)
        self.images = RootfsCache(images.folder / "unpacked", images.registry)
        self.supervisor = Supervisor(self.front, self.images, isolated=isolated)
        self.serving = LocalServing(self.supervisor, self.front, self.images)
        self.metrics = EnvoyMetrics(self.front)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.serving.down()

    def request(self, body: bytes = b"{}", service: str = "fraud") -> tuple[int, str, bytes]:
        """POST through the front; status, revision and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/invocations", body, {"Host": service})
            response = connection.getresponse()
            revision = response.headers.get("x-laurel-revision", "")
            return response.status, revision, response.read()
        finally:
            connection.close()

    @contextmanager
    def traffic(self) -> Iterator[Counter[tuple[int, str]]]:
        """Keep requests coming on two connections; counts by status and revision."""
        seen: Counter[tuple[int, str]] = Counter()
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    status, revision, _ = self.request()
                except OSError:
                    status, revision = 0, ""
                seen[status, revision] += 1
                stop.wait(0.002)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def server(self, revision: str) -> Process:
        """Find a revision's process."""
        process = Process.recorded(self.folder / "processes" / f"{revision}.json")
        assert process is not None
        return process


def eventually(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Wait until something is so; fail where it does not become so."""
    waiting = threading.Event()
    for _ in range(int(_PATIENCE / 0.02)):
        if condition():
            return
        waiting.wait(0.02)
    raise AssertionError(f"{what} did not come true within {_PATIENCE:.0f} s")


def free_port() -> int:
    """Find a port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def kill(process: Process) -> None:
    """End a process as the kernel would when memory runs out."""
    os.kill(process.pid, 9)
    eventually(lambda: not process.alive(), "the end of a killed process")
