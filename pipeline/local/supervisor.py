"""Makes this machine look like what is desired: servers, sockets, routes; again and again.

Level-triggered: every pass compares what should run with what does. So it does not matter who
crashed when, and any Laurel may take over what another one started.
"""

import fcntl
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.domain.serving import Readiness
from pipeline.errors import CorruptedError, StepError, UnavailableError
from pipeline.local.desired import Deployed, Desired
from pipeline.local.front import Front, write_atomically
from pipeline.local.output import last_lines, trim
from pipeline.local.processes import Process, start
from pipeline.local.rootfs import RootfsCache
from pipeline.local.server import server_command
from pipeline.local.unix_http import ask, invoke, listen

LISTENING = "sockets"
_STEADY_SECONDS = 60.0  # a server that lived so long starts afresh in the count of its deaths
_LONGEST_PAUSE = 60.0
_GIVEN_UP = 3
_PROBE_SECONDS = 1.0
_LOOK_EVERY = 0.1
_OK = 200
_log = logging.getLogger(__name__)


class Supervisor:
    """Keeps what one folder describes; several processes may, one acts at a time.

    Parameters
    ----------
    front
        The Envoy; its folder holds everything else too.
    images
        Where servers get their file systems from.
    isolated
        Whether servers get a sandbox; only where this machine gives none, and somebody chose so,
        they may run without (interfaces: ``isolation: none``).

    """

    def __init__(self, front: Front, images: RootfsCache, *, isolated: bool = True) -> None:
        self._front = front
        self._images = images
        self._isolated = isolated
        self._folder = front.folder
        # Nobody else may look or hold the lock; the folder first: a missing parent gets no mode.
        for name in ("", "services", "processes", LISTENING, "output"):
            (self._folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        images.serve(self._folder)

    def desired(self, service: str) -> Desired:
        """Read what a service should be; one never heard of should serve nothing."""
        file = self._file("services", service)
        try:
            return Desired.from_json(json.loads(file.read_bytes()))
        except FileNotFoundError:
            return Desired(service)
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptedError(
                "read a service", str(file), "it is damaged: delete it and promote again"
            ) from error

    def change(self, service: str, change: Callable[[Desired], Desired]) -> Desired:
        """Change what a service should be, make it so, and return it."""
        with self._locked():
            before = self.desired(service)
            after = change(before)
            if after != before:
                write_atomically(self._file("services", service), after.to_json())
            self._reconcile()
            return after

    def reconcile(self) -> None:
        """Make everything as it should be: once at start, then every two seconds."""
        with self._locked():
            self._reconcile()

    def stop(self, service: str | None = None) -> None:
        """End what runs for a service, or for all, Envoy included; sequences are remembered."""
        with self._locked():
            for desired in self._all():
                if service in {None, desired.service}:
                    nothing = Desired(
                        desired.service, desired.sequence, desired.following, hold=desired.hold
                    )
                    write_atomically(self._file("services", desired.service), nothing.to_json())
            if service is None:
                self._front.stop()
            self._reconcile()
        while service and self._running(service):  # until its last requests are answered
            time.sleep(_LOOK_EVERY)
            self.reconcile()

    def ask(self, revision: str, body: bytes) -> tuple[int, bytes]:
        """POST to a server's ``/invocations`` over its own socket, whatever the front does."""
        return invoke(self._socket(revision), body)

    def readiness(self, revision: str) -> tuple[Readiness, str]:
        """Ask a server whether it can take requests; what it said last, where it cannot."""
        process = Process.recorded(self._file("processes", revision))
        if process is None:
            return Readiness.STARTING, "not started yet"
        if not process.alive():
            deaths = process.notes["starts"]
            said = last_lines(self._output(revision))
            given_up = deaths >= _GIVEN_UP
            state = Readiness.FAILED if given_up else Readiness.STARTING
            return state, f"ended {deaths} times; its last output:\n{said}"
        try:
            status, _ = ask(self._socket(revision), "/v2/health/ready", timeout=_PROBE_SECONDS)
        except UnavailableError:
            return Readiness.STARTING, "does not answer yet"
        return (Readiness.READY, "") if status == _OK else (Readiness.STARTING, f"answers {status}")

    def _reconcile(self) -> None:
        everything = self._all()
        wanted = {name: what for each in everything for name, what in each.revisions.items()}
        for revision, deployed in wanted.items():
            self._keep(revision, deployed)
        if not wanted and not self._front.process():
            self._end_servers(set())
            return
        self._front.ensure()
        before = self._front.clusters()  # a server lives one pass longer than its last route
        sockets = {revision: f"{LISTENING}/{revision}.sock" for revision in wanted}
        self._front.route(sockets, {each.service: each.traffic for each in everything})
        self._end_servers(wanted.keys() | before)

    def _keep(self, revision: str, deployed: Deployed) -> None:
        """Adopt the server, or start it; one that dies at once is started ever more rarely."""
        trim(self._output(revision))
        record = self._file("processes", revision)
        former = Process.recorded(record)
        if former and former.alive():
            return
        starts = _starts(former)
        if former and 0 <= time.time() - former.at < min(2**starts, _LONGEST_PAUSE):
            return  # started in the future: the clock was set back since
        try:
            rootfs = self._images.provide(deployed.image)
            command = server_command(
                rootfs, deployed.env, self._output(revision), isolated=self._isolated
            )
            with listen(self._socket(revision)) as listener:
                notes = {"starts": starts + 1, "root": str(rootfs.path)}
                start(command, record=record, notes=notes, listener=listener)
        except (StepError, OSError) as error:  # one that cannot start must not stop the others
            _log.warning("revision %s: %s", revision, error)
            with suppress(OSError), self._output(revision).open("a") as output:
                output.write(f"{error}\n")

    def _end_servers(self, wanted: set[str]) -> None:
        for record in (self._folder / "processes").glob("*.json"):
            if record.stem in wanted:
                continue
            process = Process.recorded(record)
            if process:
                process.end()
            for path in (self._socket(record.stem), self._output(record.stem), record):
                path.unlink(missing_ok=True)

    def _running(self, service: str) -> bool:
        names = (record.stem for record in (self._folder / "processes").glob("*.json"))
        return any(name.rpartition("-")[0] == service for name in names)

    def _all(self) -> list[Desired]:
        names = sorted(path.stem for path in (self._folder / "services").glob("*.json"))
        return [self.desired(name) for name in names]

    def _file(self, kind: str, name: str) -> Path:
        return self._folder / kind / f"{name}.json"

    def _socket(self, revision: str) -> Path:
        return self._folder / LISTENING / f"{revision}.sock"

    def _output(self, revision: str) -> Path:
        return self._folder / "output" / f"{revision}.log"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _starts(former: Process | None) -> int:
    """Count the starts in a row that did not last."""
    if former is None or time.time() - former.at > _STEADY_SECONDS:
        return 0
    starts: int = former.notes["starts"]
    return starts
