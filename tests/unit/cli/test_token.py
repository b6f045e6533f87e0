"""``laurel token``: what is printed once, and what it opens on a server that runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.domain.access import Role
from tests.unit.cli.conftest import Served, answer, laurel


def made(*arguments: str) -> str:
    """Make a token, and return its text."""
    result = laurel("token", "create", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.removesuffix("\n")


def test_a_token_alone_is_on_stdout_and_what_is_to_be_known_beside_it(served: Served) -> None:
    result = laurel("token", "create", "ci", "--role", "operator")
    end = (datetime.now(UTC) + timedelta(days=90)).date()
    assert result.stderr == f"laurel: token ci is good until {end} and is shown this once\n"
    assert served.ledger.tokens.find(result.stdout.strip()) is not None


def test_a_server_that_runs_takes_a_new_token_and_a_revoked_one_no_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUREL_TOKEN", made("ci", "--role", "operator"))
    assert laurel("hold", "fraud", "--reason", "audit").exit_code == 0
    held = served.ledger.holds.get("fraud")
    assert held is not None
    assert held.actor == "ci"
    assert laurel("token", "revoke", "ci").stdout == "token ci is revoked\n"
    refused = laurel("status")
    assert refused.exit_code == 2
    assert "The token ci is revoked" in refused.stderr


@pytest.mark.usefixtures("served")
def test_a_reader_s_token_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUREL_TOKEN", made("bob", "--role", "reader"))
    assert laurel("status").exit_code == 0
    refused = laurel("hold", "fraud")
    assert refused.exit_code == 2
    assert "This needs the role operator; the token bob has reader." in refused.stderr


def test_what_was_made_is_listed_without_its_text(served: Served) -> None:
    text = made(
        *("ada@example.com", "--role", "approver", "--role", "reader"),
        *("--service", "fraud", "--expires", "never"),
    )
    gone = made("ci", "--role", "operator", "--expires", "12h")
    assert answer("token", "revoke", "ci") == {"name": "ci", "revoked": True}
    ada, ci = answer("token", "list")["items"]
    assert (ada["name"], ada["state"], ada["expires_at"]) == ("ada@example.com", "active", None)
    assert (ada["roles"], ada["services"]) == ([Role.READER, Role.APPROVER], ["fraud"])
    assert (ci["name"], ci["state"], ci["services"]) == ("ci", "revoked", None)
    table = laurel("token", "list").stdout
    assert "reader, approver" in table
    assert not any(each in table for each in (text, gone))
    assert len(served.ledger.tokens.list()) == 2


@pytest.mark.usefixtures("served")
def test_for_programs_the_token_is_in_the_json() -> None:
    said = answer("token", "create", "ci", "--role", "operator", "--expires", "never")
    assert said["token"].startswith("laurel_")
    result = laurel("token", "create", "ever", "--role", "reader", "--expires", "never")
    assert "token ever is good for ever" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("ci",), "--role"),
        (("ci", "--role", "admin"), "admin"),
        (("operator", "--role", "operator"), "cannot be a token's name"),
        (("ci", "--role", "reader", "--expires", "soon"), "90d or 12h, or never"),
        (("ci", "--role", "reader", "--expires", "0s"), "90d or 12h, or never"),
        (("ci", "--role", "reader", "--expires", "99999999d"), "90d or 12h, or never"),
        (("ci", "--role", "reader", "--service", "frau"), "no service 'frau'; laurel.yaml has fr"),
    ],
)
def test_a_token_that_cannot_be_is_refused_before_one_is_made(
    served: Served, arguments: tuple[str, ...], why: str
) -> None:
    result = laurel("token", "create", *arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert served.ledger.tokens.list() == []


@pytest.mark.usefixtures("served")
def test_a_token_that_is_not_there_cannot_be_revoked() -> None:
    assert "`laurel token list` shows them" in laurel("token", "revoke", "ci").stderr


def test_without_any_service_none_can_be_named(folder: Path) -> None:
    (folder / "laurel.yaml").write_text("")
    result = laurel("token", "create", "ci", "--role", "reader", "--service", "fraud")
    assert "laurel.yaml has none" in result.stderr
