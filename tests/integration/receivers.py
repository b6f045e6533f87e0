"""Receivers without neighbours, two on one ledger, and killed at a point (dying_receiver.py)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline.domain.promotion import Phase, Promotion
from tests.servers.laurel import Laurel, install
from tests.servers.ports import free_ports
from tests.servers.waiting import until
from tests.unit.cli.conftest import FIRST, draft

_DYING = ("-m", "tests.integration.dying_receiver")


def installed(folder: Path, sections: Mapping[str, object] | None = None) -> Laurel:
    """Install a Laurel that reaches no MLflow; nothing runs yet."""
    install(folder, "http://127.0.0.1:9", None, sections)
    return Laurel(folder, _DYING)


def receive(laurel: Laurel, point: str = "never") -> None:
    """Start a receiver that dies at this point, and wait until it answers."""
    laurel.start("serve", point=point)
    until(laurel.answers, "the receiver", say=laurel.log)


@contextmanager
def another(laurel: Laurel) -> Iterator[int]:
    """Run a second receiver on the same ledger, and lend its port."""
    (port,) = free_ports(1)
    settings = laurel.folder / "laurel.yaml"
    before = str(laurel.settings.server.port)
    settings.write_text(settings.read_text().replace(before, str(port)))
    other = Laurel(laurel.folder, _DYING)
    try:
        receive(other)
        yield port
    finally:
        other.kill()
        other.ledger.close()


def running(laurel: Laurel, version: int, *, approvals: int) -> Promotion:
    """Record a promotion that runs, has its image and needs approvals."""
    wanted = draft(version)
    plan = replace(wanted.plan, approvals=approvals)
    accepted = laurel.ledger.promotions.accept(replace(wanted, plan=plan))
    return laurel.ledger.promotions.change(accepted.id, phase=Phase.RUNNING, image=FIRST)
