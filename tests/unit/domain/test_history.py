"""A history tells what served, when, why and on whose word."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.domain.chain import Entry, beginning, following
from pipeline.domain.history import (
    CanaryThen,
    HeldThen,
    canary_at,
    held_at,
    running_at,
    served,
    served_at,
)

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ONE, TWO, OTHER = (f"ml/fraud@sha256:{each * 64}" for each in "12f")


class Told:
    """A history as the ledger tells it, a minute between entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def __call__(self, kind: str, promotion: str | None = None, /, **data: Any) -> Entry:  # noqa: ANN401 - JSON
        head = self.entries[-1].head if self.entries else beginning("fraud")
        at = (START + timedelta(minutes=len(self.entries))).isoformat()
        self.entries.append(
            following(head, service="fraud", promotion=promotion, at=at, kind=kind, data=data)
        )
        return self.entries[-1]

    def accepted(self, promotion: str, **asked: Any) -> None:  # noqa: ANN401 - JSON
        trigger = {"kind": "webhook", "actor": "mlflow:champion"}
        self("accepted", promotion, **{"trigger": trigger, "alias": "champion"} | asked)

    def step(self, promotion: str, name: str, phase: str = "succeeded", **evidence: Any) -> None:  # noqa: ANN401 - JSON
        self("step_ended", promotion, name=name, phase=phase, evidence=evidence)

    def ended(self, promotion: str, image: str | None, before: str | None, **more: Any) -> None:  # noqa: ANN401 - JSON
        model = {"name": "fraud-scorer", "version": int(promotion[-1]), "workspace": ""}
        data = {"phase": "succeeded", "kind": "promotion", "model": model, "key_id": "k"}
        evidence = dict.fromkeys(("artifact_digest", "lock_digest", "base_digest"))
        said = data | evidence | {"image": image, "previous_image": before}
        self("ended", promotion, **said | more)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def test_what_serves_is_told_with_when_why_and_on_whose_word() -> None:
    told = Told()
    told.accepted("p-1")
    told.step("p-1", "attest_deployment", value="sha256:9")
    told.step("p-1", "complete")
    told.ended("p-1", ONE, None)
    told.accepted("p-2", reason="the weekly release")
    told.ended("p-2", TWO, ONE)
    told.accepted("r-1", alias=None, trigger={"kind": "rollback", "actor": "ada"})
    told.ended("r-1", ONE, TWO, kind="rollback")
    first, second, third = served(told.entries)
    assert (first.image, first.model, first.promotion) == (ONE, "fraud-scorer/1", "p-1")
    assert (first.since, first.until) == (minute(2), minute(5))  # since it took all traffic
    assert first.why == "@champion named fraud-scorer/1"
    assert (first.trigger, first.actor) == ("webhook", "mlflow:champion")
    assert first.evidence == {"key_id": "k", "deployment_statement": "sha256:9"}
    assert (second.image, second.why) == (TWO, "the weekly release")
    assert (third.image, third.kind, third.why) == (ONE, "rollback", "rolled back")
    assert (third.actor, third.until) == ("ada", None)
    path = served(told.entries)
    assert served_at(path, minute(1)) is None
    assert served_at(path, minute(2)) == first
    assert served_at(path, minute(5)) == second
    assert served_at(path, minute(99)) == third


def test_who_agreed_is_told_with_what_they_let_in() -> None:
    told = Told()
    told.accepted("p-1")
    told("admitted", "p-1", image="sha256:1", approved_by=["ada", "bob"])
    told.ended("p-1", ONE, None)
    told.accepted("r-2", trigger={"kind": "rollback", "actor": "ada"})
    told.ended("r-2", TWO, ONE, kind="rollback")
    assert [each.approved_by for each in served(told.entries)] == [("ada", "bob"), ()]


def test_what_changed_no_traffic_is_not_told() -> None:
    told = Told()
    told.accepted("p-1", alias=None)
    told.ended("p-1", ONE, None)
    told.ended("p-2", TWO, ONE, phase="failed")
    told.ended("p-3", None, ONE)
    told.step("p-4", "complete", phase="failed")
    told.ended("p-1", ONE, ONE)
    (only,) = served(told.entries)
    assert only.why == "fraud-scorer/1 was promoted by hand"
    assert only.until is None


def test_what_the_target_told_of_is_not_on_anybodys_word() -> None:
    told = Told()
    told.ended("p-1", ONE, OTHER)
    told.step("p-2", "observe")
    told.ended("p-2", TWO, OTHER)
    told.ended("p-3", OTHER, ONE)
    before, first, by_hand, second, again, last = served(told.entries)
    assert (before.image, before.since, before.until) == (OTHER, None, minute(0))
    assert (before.promotion, before.actor, before.model) == (None, None, None)
    assert first.until == minute(1)
    assert (by_hand.image, by_hand.since, by_hand.until) == (OTHER, minute(1), minute(2))
    assert "nothing in this history" in by_hand.why
    assert (second.image, second.until) == (TWO, minute(3))
    assert (again.image, again.model) == (ONE, "fraud-scorer/1")
    assert last.image == OTHER
    assert served_at([before], minute(-9)) == before


def test_where_a_clock_was_set_back_what_was_recorded_last_counts() -> None:
    told = Told()
    told.ended("p-1", ONE, None)
    told.ended("p-2", TWO, ONE)
    early = following(
        told.entries[-1].head,
        service="fraud",
        promotion="p-3",
        at=minute(-5).isoformat(),
        kind="ended",
        data=told.entries[0].data,
    )
    path = served([*told.entries, early])
    found = served_at(path, minute(3))
    assert found is not None
    assert (found.image, found.promotion) == (ONE, "p-3")


def look(told: Told, percent: int, verdict: str = "hold") -> Entry:
    return told("look", "p-2", percent=percent, verdict=verdict)


def test_the_canary_of_a_moment_is_told() -> None:
    told = Told()
    told.accepted("p-1")
    told.ended("p-1", ONE, None)
    told.accepted("p-2")  # 2
    ref = {"repository": "ml/fraud", "digest": {"value": TWO.partition("@")[2]}}
    model = {"name": "fraud-scorer", "version": 2, "workspace": ""}
    told.step("p-2", "verify", ref=ref, model=model)
    told.step("p-2", "verify", phase="failed")
    looks = [look(told, 10), look(told, 50)]  # 5, 6
    told.step("p-2", "complete")  # 7
    told.ended("p-2", TWO, ONE)
    assert running_at(told.entries, minute(1)) is None
    assert running_at(told.entries, minute(6)) == "p-2"
    assert running_at(told.entries, minute(8)) is None
    assert canary_at(told.entries, looks, minute(4)) is None
    assert canary_at(told.entries, looks, minute(5)) == CanaryThen(TWO, "fraud-scorer/2", 10, "p-2")
    at_half = canary_at(told.entries, looks, minute(6))
    assert at_half is not None
    assert at_half.percent == 50
    assert canary_at(told.entries, looks, minute(7)) is None


def test_a_canary_that_went_back_takes_nothing() -> None:
    told = Told()
    told.accepted("p-2")
    looks = [look(told, 10), look(told, 10, "fail")]
    assert canary_at(told.entries, looks, minute(1)) == CanaryThen(None, None, 10, "p-2")
    assert canary_at(told.entries, looks, minute(2)) is None


def test_the_hold_of_a_moment_is_told() -> None:
    told = Told()
    told("held", actor="ada", reason="an audit", alias_version=None)
    told("released", actor="bob", reason="")
    told("chained")
    assert held_at(told.entries, minute(-1)) is None
    assert held_at(told.entries, minute(0)) == HeldThen("ada", "an audit", minute(0))
    assert held_at(told.entries, minute(1)) is None
    assert running_at(told.entries, minute(9)) is None
