"""A real Prometheus on loopback, of Debian's packages, that scrapes what a test tells it to."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.servers.certificates import private_certificate
from tests.servers.debian_packages import unpacked
from tests.servers.ports import free_ports
from tests.servers.waiting import until

_PATIENCE = 60.0
INTERVAL = "200ms"


@dataclass
class Prometheus:
    """One server; its targets are read again within a moment after :meth:`scrape`.

    Parameters
    ----------
    folder
        Holds its configuration, its data and its log.
    scrapes
        ``scrape_configs`` by job, without their targets; ``pods`` alone unless given.
    tls
        Whether it speaks https, with a certificate of the CA in ``ca_file``.

    """

    folder: Path
    scrapes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"pods": {}})
    tls: bool = False
    port: int = field(default_factory=lambda: free_ports(1)[0])
    ca_file: Path | None = None
    _process: subprocess.Popen[bytes] | None = None
    _targets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def scrape(self, address: str, *, job: str = "pods", **labels: str) -> None:
        """Scrape this address too, from now on."""
        targets = self._targets.setdefault(job, [])
        targets.append({"targets": [address], "labels": labels})
        self._write(job)

    def forget(self, address: str, *, job: str = "pods") -> None:
        """Scrape this address no more."""
        self._targets[job] = [t for t in self._targets[job] if t["targets"] != [address]]
        self._write(job)

    def ensure(self) -> None:
        """Start it where it does not run."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def start(self) -> None:
        """Start it, on what it knew before, and wait until it answers."""
        arguments = [
            f"--config.file={self._configured()}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        if self.tls:
            arguments.append(f"--web.config.file={self._certified()}")
        packages = unpacked("prometheus")
        log = self.folder / "prometheus.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [packages.program("prometheus"), *arguments],
                env={**packages.environment, "GOMAXPROCS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._wait(log)

    def kill(self) -> None:
        """End it as the kernel would when memory runs out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _configured(self) -> Path:
        jobs = [
            {
                "job_name": job,
                "file_sd_configs": [{"files": [str(self._file(job))]}],
                **extra,
            }
            for job, extra in self.scrapes.items()
        ]
        for job in self.scrapes:
            self._write(job)
        path = self.folder / "prometheus.yml"
        intervals = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}
        path.write_text(yaml.safe_dump({"global": intervals, "scrape_configs": jobs}))
        return path

    def _certified(self) -> Path:
        if self.ca_file is None:
            made = private_certificate(self.folder)
            self.ca_file = made.ca_file
            tls = {"cert_file": str(made.certificate), "key_file": str(made.key)}
            web = yaml.safe_dump({"tls_server_config": tls})
            (self.folder / "web.yml").write_text(web)
        return self.folder / "web.yml"

    def _file(self, job: str) -> Path:
        return self.folder / f"{job}.json"

    def _write(self, job: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self._file(job).with_suffix(".tmp")
        scratch.write_text(json.dumps(self._targets.get(job, [])))
        scratch.replace(self._file(job))

    def _wait(self, log: Path) -> None:
        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, said()
            return self._answers()

        def said() -> str:
            return log.read_text(errors="replace")[-2000:]

        until(answers, "Prometheus answers", _PATIENCE, said)

    def _answers(self) -> bool:
        trusted = str(self.ca_file) if self.tls else None
        with urllib3.PoolManager(retries=False, timeout=5, ca_certs=trusted) as pools:
            try:
                return pools.request("GET", f"{self.url}/-/ready").status == HTTPStatus.OK
            except urllib3.exceptions.HTTPError:
                return False


@contextmanager
def running_prometheus(folder: Path, **parts: Any) -> Iterator[Prometheus]:  # noqa: ANN401 - as Prometheus takes them
    """Run one until the context ends."""
    prometheus = Prometheus(folder, **parts)
    try:
        prometheus.start()
        yield prometheus
    finally:
        prometheus.kill()
