"""Links to approve by, as they are asked for: one's own, and somebody else's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import urllib3

from pipeline.domain.access import Grant, Role
from pipeline.ledger import new_token
from tests.unit.cli.conftest import FIRST, NOW, Served, answer, draft, laurel
from tests.unit.cli.test_steer import waiting


@pytest.fixture
def ada(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    text, made = new_token("ada", Grant(frozenset({Role.APPROVER})), NOW, None)
    served.ledger.tokens.add(made)
    monkeypatch.setenv("LAUREL_TOKEN", text)


def press(url: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("POST", url, retries=False)


@pytest.mark.usefixtures("ada")
def test_an_approver_makes_a_link_for_themselves(served: Served) -> None:
    found = waiting(served)
    result = laurel("approve", found.id, "--link", "--expires", "2h")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{served.url}/approve/v1.")
    assert result.stdout.count("\n") == 1
    assert "works once, until" in result.stderr
    assert served.ledger.admissions.approvals(found.id) == ()
    assert press(result.stdout.strip()).status == 200
    (approval,) = served.ledger.admissions.approvals(found.id)
    assert (approval.actor, approval.image) == ("ada", FIRST.digest)


def test_who_opens_the_ledger_makes_one_for_somebody_without_a_token(served: Served) -> None:
    found = waiting(served)
    made = answer("approve", found.id, "--link", "--for", "grace", "--expires", "365d")
    assert made["actor"] == "grace"
    left = datetime.fromisoformat(made["until"]) - datetime.now(UTC)
    assert left.days in {6, 7}
    assert press(made["url"]).status == 200
    assert press(made["url"]).status == 410
    assert [each.actor for each in served.ledger.admissions.approvals(found.id)] == ["grace"]
    (told,) = served.ledger.events.of(found.id, kind="invited")
    assert (told.data["actor"], told.data["by"]) == ("grace", None)


@pytest.mark.usefixtures("ada")
def test_where_nothing_is_to_be_approved_nobody_gets_a_link(served: Served) -> None:
    found = served.ledger.promotions.accept(draft(1))
    for whose in ((), ("--for", "grace")):
        result = laurel("approve", found.id, "--link", *whose)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "needs no approval" in result.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--for", "grace"), "nobody agrees for somebody else"),
        (("--link", "--comment", "fine"), "comments are typed there"),
        (("--link", "--image", FIRST.digest.value), "for the image as it is now"),
        (("--link", "--expires", "never"), "write a duration"),
        (("--link", "--expires", "5s"), "for a minute at least"),
        (("--link", "--for", "operator"), "cannot be a token's name"),
    ],
)
def test_what_does_not_go_together_is_told(
    served: Served, options: tuple[str, ...], why: str
) -> None:
    found = waiting(served)
    result = laurel("approve", found.id, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in " ".join(result.stderr.split())
    assert served.ledger.events.of(found.id, kind="invited") == []


def test_a_secret_that_cannot_be_kept_is_told_and_where_it_belongs(
    served: Served, folder: Path
) -> None:
    found = waiting(served)
    with (folder / "laurel.yaml").open("a") as settings:
        settings.write(f"approvals: {{secret_file: {folder}/gone/approvals.secret}}\n")
    result = laurel("approve", found.id, "--link", "--for", "grace")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "approvals.secret cannot be made" in result.stderr
