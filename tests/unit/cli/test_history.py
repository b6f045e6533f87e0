"""`laurel history`: what served when, exports, and forgeries of every kind found."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import wiring
from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.cli import audit
from pipeline.domain.chain import beginning, seal
from pipeline.domain.export import json_line, read_entries
from pipeline.domain.oci import IMAGE_MANIFEST
from pipeline.domain.promotion import Kind, Phase, Promotion
from pipeline.domain.references import ImageRef
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.image.version_key import repository_of
from pipeline.ledger.schema import events
from pipeline.settings.load import load_settings
from pipeline.trust.attachments import attach
from pipeline.trust.keys import PrivateKey
from pipeline.trust.statements import DEPLOYMENT, Deployment
from tests.fakes.baked_image import bake
from tests.unit.cli.conftest import FIRST, NOW, SECOND, Served, answer, draft, laurel

KEY = KeyFileSigner(PrivateKey.generate())
TIME = "2026-03-01T12:30:00+00:00"


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


class Deployments:
    """A ledger and a registry as promotions leave them, without a worker."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served, self.ledger = served, served.ledger
        settings = load_settings(folder / "laurel.yaml", {})
        (folder / "laurel.pub").write_bytes(KEY.public_key_pem)
        self.registry = wiring.open_images(settings)
        self.repository = repository_of(settings.plans()["fraud"])

    def deploy(self, version: int, *, tag: bool = True) -> Promotion:
        """Promote a version: its image, its statement over the history so far, its end."""
        layers = (b"base", str(version).encode())
        image = bake(self.registry, repository=self.repository, layers=layers).built.ref
        if tag:
            content = self.registry.manifest(image.repository, image.digest.value)
            assert content is not None
            key = f"laurel-{version:032}"
            self.registry.push_manifest(image.repository, content, IMAGE_MANIFEST, tag=key)
        made = self.ledger.promotions.accept(draft(version))
        referrer = self.state(made, image)
        evidence = {"name": "attest_deployment", "phase": "succeeded"}
        told = evidence | {"evidence": {"value": referrer}}
        self.ledger.events.append(made.id, NOW, "step_ended", told)
        now = NOW + timedelta(hours=version)
        return self.ledger.promotions.change(
            made.id, phase=Phase.SUCCEEDED, image=image, ended_at=now
        )

    def state(self, made: Promotion, image: ImageRef, *, chained: bool = True) -> str:
        history = self.ledger.history.head("fraud") if chained else None
        said = Deployment("fraud", made.sequence, Kind.PROMOTION, history=history)
        bundle = KEY.sign_statement(said.statement(image.digest).encode())
        return attach(image, bundle, DEPLOYMENT, registry=self.registry).value

    def forge(self, statement: sa.Executable) -> None:
        with self.ledger.database.write() as connection:
            connection.execute(statement)

    def cut_off(self, after: int) -> None:
        self.forge(sa.delete(events).where(events.c.number > after))


@pytest.fixture
def deployments(served: Served, folder: Path) -> Deployments:
    return Deployments(served, folder)


def test_a_history_shows_what_served_the_latest_first(deployments: Deployments) -> None:
    deployments.deploy(1)
    second = deployments.deploy(2)
    heading, latest, first = words(laurel("history", "fraud").stdout)
    assert heading == ["SINCE", "UNTIL", "VERSION", "DIGEST", "WHY", "BY", "PROMOTION"]
    assert latest[2] == "-"
    assert latest[3:5] == ["fraud-scorer/2", second.image.digest.short if second.image else ""]
    assert latest[5:] == ["@champion", "named", "fraud-scorer/2", "mlflow:champion", second.id]
    assert first[4] == "fraud-scorer/1"
    found = answer("history", "fraud")
    assert [each["model"] for each in found["served"]] == ["fraud-scorer/2", "fraud-scorer/1"]
    assert found["head"]["number"] == 6


def test_a_history_without_a_promotion_says_so(served: Served) -> None:
    assert served.url
    result = laurel("history", "fraud")
    assert result.exit_code == 0
    assert "nothing was ever promoted to fraud" in result.stderr
    assert laurel("history", "fraud", "--json").stderr == ""


def test_a_moment_shows_what_served_why_and_on_whose_word(served: Served) -> None:
    served.promoted(1, FIRST)
    held = Hold("ada", "an audit", NOW)
    served.ledger.holds.set("fraud", held)
    running = served.promoted(2, SECOND, Phase.RUNNING)
    look = {"percent": 25, "verdict": "hold"}
    served.ledger.events.append(running.id, NOW, "look", look)
    shown = words(laurel("history", "fraud", "--at", TIME).stdout)
    assert ["serves", "fraud-scorer/1"] in shown
    assert ["image", str(FIRST)] in shown
    assert ["why", "@champion", "named", "fraud-scorer/1"] in shown
    assert ["by", "mlflow:champion", "(webhook)"] in shown
    assert ["canary", running.id, "at", "25", "%"] in shown
    (hold,) = (line for line in shown if line[0] == "hold")
    assert hold[1:4] == ["ada:", "an", "audit"]
    assert [line[0] for line in shown].count("until") == 1


def test_who_agreed_stands_beside_who_asked(served: Served) -> None:
    running = served.promoted(1, FIRST, Phase.RUNNING)
    let_in = {"image": FIRST.digest.value, "approved_by": ["ada", "grace"]}
    served.ledger.events.append(running.id, NOW, "admitted", let_in)
    served.ledger.promotions.change(running.id, phase=Phase.SUCCEEDED, ended_at=NOW)
    assert "mlflow:champion; approved by ada, grace" in laurel("history", "fraud").stdout
    shown = words(laurel("history", "fraud", "--at", TIME).stdout)
    assert ["approved", "by", "ada,", "grace"] in shown
    (found,) = answer("history", "fraud")["served"]
    assert found["approved_by"] == ["ada", "grace"]


def test_a_moment_before_everything_served_nothing(served: Served) -> None:
    served.promoted(1, FIRST)
    assert ["serves", "-"] in words(laurel("history", "fraud", "--at", "2020-01-01").stdout)
    assert answer("history", "fraud", "--at", "2020-01-01")["served"] == []


def test_a_moment_is_this_machines_where_it_says_no_other(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.url
    import time  # noqa: PLC0415 - the zone is the process's

    monkeypatch.setenv("TZ", "EST+5")
    time.tzset()
    try:
        assert (
            answer("history", "fraud", "--at", "2026-03-01T07:30")["at"] == "2026-03-01T12:30:00Z"
        )
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_export_is_the_whole_chain_in_either_form(deployments: Deployments) -> None:
    deployments.deploy(1)
    lines = laurel("history", "fraud", "--format", "jsonl").stdout
    rows = laurel("history", "fraud", "--format", "csv").stdout_bytes.decode()
    kinds = ["accepted", "step_ended", "ended"]
    assert [json.loads(line)["kind"] for line in lines.splitlines()] == kinds
    assert [row["kind"] for row in csv.DictReader(io.StringIO(rows))] == kinds


def test_a_history_verifies_against_every_signed_statement(deployments: Deployments) -> None:
    deployments.deploy(1)
    deployments.deploy(2)
    result = laurel("history", "fraud", "--verify")
    assert result.exit_code == 0, result.stderr
    head = deployments.ledger.history.head("fraud")
    assert words(result.stdout)[1:] == [
        ["service", "fraud"],
        ["verified", "yes"],
        ["entries", "6"],
        ["head", head.hash],
        ["signed", "statements", "2"],
        ["statements", "missing", "-"],
    ]
    assert answer("history", "fraud", "--verify") == {
        "service": "fraud",
        "verified": True,
        "head": {"number": 6, "hash": head.hash},
        "statements": 2,
        "statements_missing": 0,
        "why": None,
    }


def test_a_deployment_that_is_stated_meanwhile_contradicts_nothing(
    deployments: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments.deploy(1)
    find = audit.find_statements

    def found(*arguments: Any) -> list[Any]:  # noqa: ANN401 - whatever it takes
        deployments.deploy(2)
        return find(*arguments)

    monkeypatch.setattr(audit, "find_statements", found)
    told = answer("history", "fraud", "--verify")
    assert (told["head"]["number"], told["statements"]) == (6, 2)


def test_a_statement_that_is_gone_is_counted(deployments: Deployments) -> None:
    made = deployments.deploy(1)
    assert made.image is not None
    for referrer in deployments.registry.referrers(made.image.repository, made.image.digest):
        deployments.registry.delete(made.image.repository, referrer.digest)
    found = answer("history", "fraud", "--verify")
    assert (found["statements"], found["statements_missing"]) == (0, 1)


def test_statements_of_before_histories_were_chained_contradict_nothing(
    deployments: Deployments,
) -> None:
    made = deployments.deploy(1)
    assert made.image is not None
    deployments.state(replace(made, sequence=9), made.image, chained=False)
    assert answer("history", "fraud", "--verify")["statements"] == 2


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_history_whose_end_was_cut_off_is_found_by_the_statements(
    deployments: Deployments, kept: int
) -> None:
    deployments.deploy(1)
    deployments.deploy(2)
    deployments.cut_off(after=kept)
    result = laurel("history", "fraud", "--verify", "--json")
    assert result.exit_code == 1
    why = json.loads(result.stdout)["why"]
    assert "was signed" in why
    assert f"the history ends with entry {kept}" in why
    assert f"the history of fraud does not verify: {why}" in result.stderr


def test_a_cut_off_end_is_found_on_the_image_that_serves(deployments: Deployments) -> None:
    deployments.deploy(1)
    newest = deployments.deploy(2, tag=False)
    assert newest.image is not None
    deployments.cut_off(after=3)
    assert laurel("history", "fraud", "--verify").exit_code == 0  # nothing tells of it any more
    stable = Revision("fraud-00002", newest.image, 100, Readiness.READY, 2)
    deployments.ledger.states.observed(ServiceState("fraud", "", stable=stable), NOW)
    result = laurel("history", "fraud", "--verify")
    assert result.exit_code == 1
    assert "the history ends with entry 3" in result.stderr


def test_a_history_that_was_told_anew_is_found_by_the_statements(
    deployments: Deployments,
) -> None:
    deployments.deploy(1)
    deployments.deploy(2)
    head = beginning("fraud")
    for entry in deployments.ledger.history.entries("fraud"):
        forged = replace(entry, at="2026-01-01T00:00:00.000000Z", previous=head.hash)
        forged = replace(forged, hash=seal(forged))
        told = {"at": forged.at, "previous": forged.previous, "hash": forged.hash}
        deployments.forge(sa.update(events).where(events.c.number == entry.number).values(told))
        head = forged.head
    result = laurel("history", "fraud", "--verify")
    assert result.exit_code == 1
    assert "entry 1 is another" in result.stderr


FORGERIES: dict[str, tuple[sa.Executable, str]] = {
    "altered": (
        sa.update(events).where(events.c.number == 2).values(data={"forged": True}),
        "entry 2 was changed",
    ),
    "removed": (sa.delete(events).where(events.c.number == 2), "entry 2 is not there"),
    "sealed anew by nobody": (
        sa.update(events).where(events.c.number == 2).values(hash="0" * 64),
        "entry 2 was changed",
    ),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_the_first_broken_entry_is_named_and_nothing_vouches_for_it(
    deployments: Deployments, how: str
) -> None:
    deployments.deploy(1)
    forgery, why = FORGERIES[how]
    deployments.forge(forgery)
    result = laurel("history", "fraud", "--verify")
    assert result.exit_code == 1
    assert why in result.stderr
    assert ["verified", "no"] in words(result.stdout)
    assert ["head", "-"] in words(result.stdout)


def test_without_settings_the_chain_alone_is_verified_and_it_says_so(
    deployments: Deployments, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments.deploy(1)
    monkeypatch.setenv("LAUREL_TOKEN", (folder / "laurel.token").read_text().strip())
    (folder / "laurel.yaml").unlink()
    result = laurel("history", "fraud", "--verify", "--server", deployments.served.url)
    assert result.exit_code == 0
    assert "are not compared" in result.stderr
    assert ["signed", "statements", "-"] in words(result.stdout)


def test_the_history_of_a_service_that_was_removed_verifies(
    deployments: Deployments, folder: Path
) -> None:
    churn = draft(1)
    churn = replace(churn, service="churn", plan=replace(churn.plan, service="churn"))
    deployments.ledger.promotions.accept(churn)
    assert folder.exists()
    found = answer("history", "churn", "--verify")
    assert (found["verified"], found["statements"]) == (True, 0)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_is_verified_without_a_server(
    deployments: Deployments, folder: Path, form: str
) -> None:
    deployments.deploy(1)
    head = deployments.ledger.history.head("fraud")
    export = laurel("history", "fraud", "--format", form).stdout_bytes
    (folder / "export").write_bytes(export)
    for more in ([], ["fraud"]):
        result = laurel("history", "--verify", "export", "--server", "http://127.0.0.1:9", *more)
        assert result.exit_code == 0, result.stderr
        assert ["head", head.hash] in words(result.stdout)
        assert "only the signed deployment statements tell" in result.stderr
    assert laurel("history", "--verify", "export", "--json").stderr == ""
    assert laurel("history", "churn", "--verify", "export").exit_code == 1


def _swap(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


TAMPERED: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "altered": (lambda lines: [line.replace("mlflow", "nobody") for line in lines], "entry 1"),
    "removed": (lambda lines: [lines[0], *lines[2:]], "entry 2 is not there"),
    "swapped": (_swap, "entry 2 is not there"),
    "inserted": (lambda lines: [lines[0], *lines], "entry 2 is not there"),
    "broken": (lambda lines: [lines[0], "{", *lines[1:]], "line 2"),
    "broken at once": (lambda lines: ["{", *lines], "line 1"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_an_export_that_was_tampered_with_is_found(served: Served, folder: Path, how: str) -> None:
    served.promoted(1, FIRST)
    served.promoted(2, SECOND)
    lines = laurel("history", "fraud", "--format", "jsonl").stdout.splitlines()
    tamper, why = TAMPERED[how]
    (folder / "export").write_text("\n".join(tamper(lines)) + "\n")
    result = laurel("history", "--verify", "export")
    assert result.exit_code == 1
    assert why in result.stderr


def test_an_export_that_is_written_again_is_the_same(served: Served) -> None:
    served.promoted(1, FIRST)
    export = laurel("history", "fraud", "--format", "jsonl").stdout_bytes
    assert "".join(map(json_line, read_entries([export]))).encode() == export


def test_an_empty_export_is_no_history(folder: Path) -> None:
    (folder / "export").touch()
    result = laurel("history", "--verify", "export")
    assert result.exit_code == 2
    assert "has no entry" in result.stderr


def test_a_service_where_a_file_is_meant_is_told_apart(served: Served) -> None:
    assert served.url
    result = laurel("history", "--verify", "fraud")
    assert result.exit_code == 2
    assert "`laurel history SERVICE --verify`" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "Name a service"),
        (["--verify"], "Name a service"),
        (["fraud", "--at", "yesterday"], "is no time"),
        (["fraud", "--at", "0001-01-01"], "is no time"),
        (["fraud", "--at", TIME, "--verify"], "one at a time"),
        (["fraud", "--format", "csv", "--verify"], "one at a time"),
        (["fraud", "--format", "xml"], "'xml' is not one of"),
        (["nobody"], "no service of that name"),
        (["nobody", "--format", "csv"], "no service of that name"),
        (["nobody", "--verify"], "no service of that name"),
    ],
)
def test_what_is_asked_wrongly_is_said(served: Served, arguments: list[str], why: str) -> None:
    assert served.url
    result = laurel("history", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr
