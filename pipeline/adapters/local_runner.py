"""Runs an image for smoke: a sandbox without network, gone with its context."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.domain.evidence import BuiltImage
from pipeline.domain.plan import EnvVar
from pipeline.domain.serving import Readiness
from pipeline.errors import UnavailableError
from pipeline.local.output import last_lines
from pipeline.local.processes import tied
from pipeline.local.rootfs import RootfsCache
from pipeline.local.server import plain_env, server_command
from pipeline.local.unix_http import ask, invoke, listen
from pipeline.ports import RunningModel

_OK = 200
_PROBE_SECONDS = 1.0


class LocalRunner:
    """Starts images on this machine; implements :class:`pipeline.ports.ModelRunner`."""

    def __init__(self, images: RootfsCache, *, isolated: bool = True) -> None:
        self._images = images
        self._isolated = isolated

    @contextmanager
    def run(self, image: BuiltImage, env: tuple[EnvVar, ...]) -> Iterator[RunningModel]:
        """Start the image; leaving the context, or the end of Laurel, ends all that it started.

        Variables out of a cluster's secrets are not there: only the cluster knows them.
        """
        rootfs = self._images.provide(image.ref)
        plain = tuple(variable for variable in env if variable.secret_name is None)
        with tempfile.TemporaryDirectory(prefix="laurel-smoke-") as folder:
            output, socket = Path(folder, "output.log"), Path(folder, "model.sock")
            variables = plain_env(image.model.name, plain)
            command = server_command(rootfs, variables, output, isolated=self._isolated)
            with listen(socket) as listener, tied(command, listener=listener) as alive:
                listener.close()  # else connections would outlive the server
                yield _Running(socket, output, alive)


class _Running:
    """One started image; implements :class:`pipeline.ports.RunningModel`."""

    def __init__(self, socket: Path, output: Path, alive: Callable[[], bool]) -> None:
        self._socket = socket
        self._output = output
        self._alive = alive

    def readiness(self) -> Readiness:
        """Ask once; ``FAILED`` when its process has ended."""
        if not self._alive():
            return Readiness.FAILED
        try:
            status, _ = ask(self._socket, "/v2/health/ready", timeout=_PROBE_SECONDS)
        except UnavailableError:
            return Readiness.STARTING
        return Readiness.READY if status == _OK else Readiness.STARTING

    def invoke(self, body: bytes) -> tuple[int, bytes]:
        """POST to ``/invocations``; a server that does not answer counts as 503, saying why."""
        try:
            return invoke(self._socket, body)
        except UnavailableError as error:
            return 503, error.hint.encode()

    def output(self) -> str:
        """Return the last lines that it printed."""
        return last_lines(self._output)
