"""docs/backups.md as people follow it: a ledger is copied, and put back."""

import shlex
from pathlib import Path

from tests.architecture.commands import ROOT, commands
from tests.unit.cli.conftest import FIRST, Served, answer, laurel, settings_of_fraud

COPY, BACK, KEEP, OLDER = commands(ROOT / "docs/backups.md")


def typed(command: str) -> list[str]:
    """Leave the program's name out."""
    program, *arguments = shlex.split(command)
    assert program == "laurel"
    return arguments


def test_a_ledger_is_copied_under_a_server_that_runs_and_not_replaced_there(
    served: Served, folder: Path
) -> None:
    served.promoted(1, FIRST)
    copied = laurel(*typed(COPY))
    assert copied.exit_code == 0, copied.stderr
    head = served.ledger.history.head("fraud")
    assert copied.stdout.split()[-3:] == ["fraud", str(head.number), head.hash]
    assert (folder / "before-the-move.db").exists()
    again = laurel(*typed(COPY))
    assert again.exit_code == 2
    refused = laurel(*typed(BACK))
    assert refused.exit_code == 2
    assert "is in use" in refused.stderr


def test_a_ledger_is_put_back_over_a_newer_one_only_where_that_is_told(folder: Path) -> None:
    settings_of_fraud(folder, 8080)
    assert laurel("migrate").exit_code == 0
    assert laurel(*typed(COPY)).exit_code == 0
    assert laurel("token", "create", "ci", "--role", "operator").exit_code == 0
    (folder / "engine.db").write_text("checkpoints")
    assert laurel(*typed(KEEP)).exit_code == 0
    restored = answer(*typed(OLDER))
    assert restored == {"promotions": 0, "items": []}
    assert answer("token", "list")["items"] == []
    assert laurel(*typed(BACK)).exit_code == 0
