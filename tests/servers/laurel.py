"""A real Laurel in a process group of its own: started, killed, started again, and watched."""

import http.client
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline import wiring
from pipeline.domain.promotion import Promotion
from pipeline.domain.serving import ServiceState
from pipeline.ledger import Event, Ledger
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.trust.key_file import create_key_file
from tests.servers.ports import free_ports
from tests.servers.unmeasured import unmeasured
from tests.servers.waiting import until

ROOT = Path(__file__).parents[2]
SERVICE, MODEL = "fraud", "fraud-scorer"
SECRET = "whsec_laurel_acceptance_secret_01"
_PASSWORD = "password of a test's key"
_PATIENCE = 120.0
_TOLD = {"name", "phase", "percent", "verdict", "detail", "why", "reason"}
Traffic = Counter[tuple[int, str]]
"""How many answers there were, by status (0: none) and body."""


@dataclass
class Laurel:
    """One folder with laurel.yaml, keys and ledger, and the process that works on it, if any.

    ``program`` is what stands before the verb: ``laurel`` itself, or a test's variant of it.
    """

    folder: Path
    program: tuple[str, ...] = ("-m", "pipeline")
    process: subprocess.Popen[bytes] | None = None
    services: tuple[str, ...] = (SERVICE,)
    ledger: Ledger = field(init=False)
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = load_settings(self.folder / "laurel.yaml", {})
        self.ledger = wiring.open_ledger(self.settings)

    @property
    def url(self) -> str:
        """The API, while ``up`` or ``serve`` runs."""
        return f"http://127.0.0.1:{self.settings.server.port}"

    def start(
        self, verb: str = "worker", *, point: str = "never", largest_file: int | None = None
    ) -> None:
        """Start a verb that stays.

        ``point`` is where a variant kills itself; ``largest_file`` in bytes is where its disk is
        full.
        """

        def limit() -> None:
            if largest_file is not None:
                hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, hard))

        before = self.program if self.program[-1] == "pipeline" else (*self.program, point)
        with (self.folder / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *before, verb, "--config", str(self.folder / "laurel.yaml")],
                cwd=ROOT,
                env=unmeasured(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=limit,  # noqa: PLW1509 - the child limits itself; it runs no thread yet
            )

    def change(self, **settings: object) -> None:
        """Change settings of its services from the next start on; ``None`` takes one out."""
        file = self.folder / "laurel.yaml"
        said = yaml.safe_load(file.read_text())
        changed = [one | settings for one in said["services"]]
        said["services"] = [{k: v for k, v in one.items() if v is not None} for one in changed]
        file.write_text(yaml.safe_dump(said))
        self.settings = load_settings(file, {})

    def make_room(self) -> None:
        """Let files grow again."""
        assert self.process is not None
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def kill(self) -> None:
        """End the whole process group, as ``kill -9`` does."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=_PATIENCE)

    def died(self) -> None:
        """Wait until it was killed at its point."""
        assert self.process is not None
        try:
            self.process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it lives\n{self.story()}") from None
        assert self.process.returncode == -signal.SIGKILL, self.log()

    def lose_ledger(self) -> None:
        """Delete the record and the engine's checkpoints, and begin with an empty ledger."""
        self.ledger.close()
        for file in self.folder.glob("*.db*"):
            file.unlink()
        self.ledger = wiring.open_ledger(self.settings)

    def down(self) -> None:
        """End everything: the process, what it serves, the connection to its ledger."""
        if self.process is not None:
            self.kill()
        if self.settings.serving.target == "local":
            wiring.build_local_target(self.settings).down()
        self.ledger.close()

    def promotions(self, service: str = SERVICE) -> list[Promotion]:
        """List a service's promotions, oldest first."""
        return list(reversed(self.ledger.promotions.of_service(service)))

    def ended(
        self, number: int = 1, *, service: str = SERVICE, seconds: float = _PATIENCE
    ) -> Promotion:
        """Wait for the end of a service's n-th promotion, and return it."""

        def found() -> Promotion | None:
            promotions = self.promotions(service)
            there = len(promotions) >= number and promotions[number - 1].phase.ended
            return promotions[number - 1] if there else None

        return until(found, f"the end of promotion {number} of {service}", seconds, self.story)

    def event(self, number: int, kind: str, seconds: float = _PATIENCE, **data: object) -> Event:
        """Wait for an event of the service's n-th promotion."""

        def found() -> Event | None:
            promotions = self.promotions()
            if len(promotions) < number:
                return None
            events = self.ledger.events.of(promotions[number - 1].id, kind=kind)
            return next((e for e in events if data.items() <= e.data.items()), None)

        return until(found, f"{kind} {data} of promotion {number}", seconds, self.story)

    def state(self, service: str = SERVICE) -> ServiceState:
        """Observe what is served now, as Envoy says."""
        return wiring.build_target(self.settings).observe(service)

    def ask(self, body: bytes = b"{}", service: str = SERVICE) -> tuple[int, str]:
        """Send a request through the front; status 0 where nobody answers."""
        port = self.settings.serving.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            try:
                headers = {"Host": service, "Content-Type": "application/json"}
                connection.request("POST", "/invocations", body, headers)
                response = connection.getresponse()
                return response.status, response.read().decode()
            except OSError as error:
                return 0, str(error)

    @contextmanager
    def traffic(
        self, body: bytes = b"{}", service: str = SERVICE, *, pause: float = 0.03
    ) -> Iterator[Traffic]:
        """Keep requests coming on two connections; a real model takes the machine at each."""
        seen, stop = Traffic(), threading.Event()

        def send() -> None:
            while not stop.is_set():
                seen[self.ask(body, service)] += 1
                stop.wait(pause)

        threads = [threading.Thread(target=send) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Call the API as the operator."""
        token = (self.folder / "laurel.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        port = self.settings.server.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
            return response.status, answer

    def answers(self) -> bool:
        """Tell whether the receiver answers."""
        try:
            return self.call("GET", "/health/ready")[0] == 200
        except OSError:
            return False

    def log(self) -> str:
        """Return the end of what it printed."""
        return (self.folder / "output.log").read_text(errors="replace")[-4000:]

    def story(self) -> str:
        """Tell what happened to each promotion, for a test that failed."""
        lines = []
        for service in self.services:
            for promotion in self.promotions(service):
                waiting = promotion.waiting and promotion.waiting.for_
                lines.append(f"{promotion.model} {promotion.phase} {promotion.reason} {waiting}")
                for event in self.ledger.events.of(promotion.id):
                    data = {k: v for k, v in event.data.items() if k in _TOLD}
                    lines.append(f"  {event.at:%H:%M:%S.%f} {event.kind} {data}")
        return "\n".join([*lines[:20], *lines[-40:], self.log()])


def install(
    folder: Path,
    mlflow_url: str,
    cache: Path | None,
    sections: Mapping[str, object] | None = None,
    **changes: object,
) -> Path:
    """Write laurel.yaml and its secrets; ``changes`` are settings of the one service.

    Without a ``cache`` it is the user's own: an environment of a gigabyte is installed once.
    ``sections`` replace whole sections: ``serving``, ``registry``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    front, receiver = free_ports(2)
    canary = {"steps": [50], "interval": "300ms", "min_samples": 5, "look_every": "50ms"}
    service = {"name": SERVICE, "model": MODEL, "runtime": "mlflow", "canary": canary} | changes
    settings = {
        "mlflow": {"url": mlflow_url, "poll": "500ms"},
        "serving": {"port": front},
        "server": {"port": receiver},
        "worker": {"poll": "50ms"} | ({} if cache is None else {"cache": str(cache)}),
        "services": [service],
        **(sections or {}),
    }
    (folder / "laurel.yaml").write_text(yaml.safe_dump(settings))
    for name, content in (("webhook.secret", SECRET), ("laurel.key.password", _PASSWORD)):
        (folder / name).touch(0o600)
        (folder / name).write_text(content)
    create_key_file(folder / "laurel.key", _PASSWORD)
    return folder


def one_at_a_time(promotions: list[Promotion]) -> bool:
    """Tell whether no two promotions of a service ran at once."""
    ran = sorted((p.started_at, p.ended_at) for p in promotions if p.started_at and p.ended_at)
    return all(before[1] <= after[0] for before, after in itertools.pairwise(ran))
