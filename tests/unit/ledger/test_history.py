"""The ledger chains whatever is written, in whatever order, by however many."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.chain import BrokenAt, Head, verify_chain
from pipeline.domain.promotion import Control, ControlKind, Phase
from pipeline.domain.serving import Hold
from pipeline.errors import NotFoundError, UnavailableError
from pipeline.ledger import Ledger
from pipeline.ledger.schema import events
from tests.unit.ledger.test_ledger import IMAGE, NOW, draft
from tests.unit.ledgers import open_ledger
from tests.unit.memory import folder_in_memory

SERVICES = ("fraud", "churn")


def kinds(of: Ledger, service: str = "fraud") -> list[str]:
    return [entry.kind for entry in of.history.entries(service)]


def test_what_changes_a_services_fate_is_told_with_it(ledger: Ledger) -> None:
    made = ledger.promotions.accept(draft(7))
    ledger.controls.add(made.id, Control(ControlKind.ABORT, "ada", "looks wrong", NOW))
    digest = IMAGE.digest
    later = NOW + timedelta(minutes=1)
    ended = {"phase": Phase.ABORTED, "reason": "looks wrong", "ended_at": later}
    ledger.promotions.change(made.id, image=IMAGE, artifact_digest=digest, key_id="k", **ended)
    ledger.holds.set("fraud", Hold("ada", "an audit", NOW, 7))
    ledger.holds.release("fraud", actor="bob", at=later, reason="it is over")
    accepted, controlled, end, held, released = ledger.history.entries("fraud")
    model = {"name": "fraud-scorer", "version": 7, "workspace": ""}
    assert (accepted.kind, accepted.promotion, accepted.number) == ("accepted", made.id, 1)
    assert accepted.at == "2026-11-21T08:00:00.000000Z"
    assert accepted.data["model"] == model
    assert accepted.data["trigger"]["actor"] == "mlflow"
    assert accepted.data["plan"].startswith("sha256:")
    assert (accepted.data["alias"], accepted.data["sequence"]) == ("champion", 1)
    assert controlled.kind == "controlled"
    assert controlled.data == {"control": "abort", "actor": "ada", "reason": "looks wrong"}
    assert (end.kind, end.at) == ("ended", "2026-11-21T08:01:00.000000Z")
    assert end.data == {
        "model": model,
        "kind": "promotion",
        "sequence": 1,
        "phase": "aborted",
        "reason": "looks wrong",
        "image": str(IMAGE),
        "previous_image": None,
        "artifact_digest": digest.value,
        "lock_digest": None,
        "base_digest": None,
        "key_id": "k",
    }
    assert (held.kind, held.promotion) == ("held", None)
    assert held.data == {"actor": "ada", "reason": "an audit", "alias_version": 7}
    assert (released.kind, released.at) == ("released", "2026-11-21T08:01:00.000000Z")
    assert released.data == {"actor": "bob", "reason": "it is over"}


def test_what_changes_nothing_is_not_told(ledger: Ledger) -> None:
    made = ledger.promotions.accept(draft())
    ledger.promotions.accept(replace(draft(), id=made.id))
    ledger.promotions.change(made.id, phase=Phase.RUNNING)
    ledger.promotions.change(made.id, phase=Phase.FAILED)
    ledger.promotions.change(made.id, phase=Phase.SUCCEEDED)
    ledger.holds.release("fraud", actor="ada", at=NOW)
    assert kinds(ledger) == ["accepted", "ended"]


def test_one_that_is_accepted_as_ended_is_told_as_both(ledger: Ledger) -> None:
    refused = replace(draft(), phase=Phase.FAILED, reason="no such tag", ended_at=NOW)
    ledger.promotions.accept(refused)
    assert kinds(ledger) == ["accepted", "ended"]
    assert ledger.history.entries("fraud")[1].data["reason"] == "no such tag"


def test_a_newer_promotion_is_told_after_which_it_supersedes_the_older(ledger: Ledger) -> None:
    older = [ledger.promotions.accept(draft(1)), ledger.promotions.accept(draft(2))]
    newest = ledger.promotions.accept(draft(3))
    told = ledger.history.entries("fraud", after=3)
    assert [(e.kind, e.promotion) for e in told] == [
        ("accepted", newest.id),
        ("controlled", older[0].id),
        ("controlled", older[1].id),
    ]


def test_nothing_is_told_of_what_nobody_accepted(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError, match="no such promotion"):
        ledger.events.append("nobody", NOW, "look", {})
    with pytest.raises(NotFoundError, match="no such promotion"):
        ledger.controls.add("nobody", Control(ControlKind.ABORT, "ada", "", NOW))


def test_what_could_not_be_recorded_is_not_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ledger.promotions.accept(draft())

    def full(*_: object) -> None:
        raise sa.exc.OperationalError("", {}, Exception("disk is full"))

    monkeypatch.setattr("pipeline.ledger.promotions.tell_ended", full)
    with pytest.raises(UnavailableError):
        ledger.promotions.change(made.id, phase=Phase.FAILED)
    found = ledger.promotions.get(made.id)
    assert found is not None
    assert found.phase is Phase.PENDING
    assert kinds(ledger) == ["accepted"]


def test_a_history_is_read_in_parts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ledger.promotions.accept(draft())
    other = ledger.promotions.accept(draft())
    for n in range(9):
        ledger.events.append(made.id, NOW, "look", {"n": n})
    whole = ledger.history.entries("fraud")
    assert [entry.number for entry in whole] == list(range(1, 13))
    assert ledger.history.entries("fraud", promotion=other.id) == [whole[1]]
    assert ledger.history.entries("fraud", kinds=["accepted"]) == whole[:2]
    assert ledger.history.entries("fraud", after=2, limit=3) == whole[2:5]
    monkeypatch.setattr("pipeline.ledger.history._PAGE", 4)
    assert list(ledger.history.export("fraud")) == whole
    assert list(ledger.history.export("fraud", after=2, limit=7)) == whole[2:9]
    assert list(ledger.history.export("fraud", after=2, limit=4)) == whole[2:6]
    assert list(ledger.history.export("fraud", after=12)) == []


def test_a_history_knows_every_head_that_it_had(ledger: Ledger) -> None:
    beginning = ledger.history.head("fraud")
    assert ledger.history.was_at("fraud", beginning)
    ledger.promotions.accept(draft())
    first = ledger.history.head("fraud")
    ledger.promotions.accept(draft())
    for head in (beginning, first, ledger.history.head("fraud")):
        assert ledger.history.was_at("fraud", head)
    assert not ledger.history.was_at("fraud", Head(1, "0" * 64))
    assert not ledger.history.was_at("fraud", Head(9, first.hash))
    assert not ledger.history.was_at("churn", beginning)


def test_a_history_has_one_order_when_many_write_at_once(ledger: Ledger) -> None:
    made = {service: ledger.promotions.accept(draft(service=service)) for service in SERVICES}

    def write(n: int) -> None:
        ledger.events.append(made[SERVICES[n % 2]].id, NOW, "look", {"n": n})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(60)))
    for service in SERVICES:
        head = verify_chain(ledger.history.entries(service), service)
        assert head == ledger.history.head(service)
        assert isinstance(head, Head)
        assert head.number == 31


Write = Callable[[Ledger, str, int], object]


def _ended(into: Ledger, service: str, n: int) -> None:
    made = into.promotions.latest(service)
    if made is not None:
        phase = Phase.FAILED if n % 2 else Phase.SUCCEEDED
        into.promotions.change(made.id, phase=phase, ended_at=NOW, image=IMAGE)


def _controlled(into: Ledger, service: str, n: int) -> None:
    made = into.promotions.latest(service)
    if made is not None:
        into.controls.add(made.id, Control(ControlKind.ABORT, "ada", str(n), NOW))


def _noted(into: Ledger, service: str, n: int) -> None:
    made = into.promotions.latest(service)
    if made is not None:
        into.events.append(made.id, NOW, "look", {"n": n, "p": n / 3})


WRITES: tuple[Write, ...] = (
    lambda into, service, n: into.promotions.accept(draft(n + 1, service)),
    lambda into, service, n: into.promotions.accept_if_still(draft(n + 1, service), n),
    lambda into, service, n: into.holds.set(service, Hold("ada", str(n), NOW)),
    lambda into, service, _: into.holds.release(service, actor="ada", at=NOW),
    _ended,
    _controlled,
    _noted,
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(WRITES), st.sampled_from(SERVICES), st.integers(0, 5)),
        max_size=20,
    ),
    st.data(),
)
def test_any_interleaving_of_writes_chains_and_any_forgery_is_found(
    writes: list[tuple[Write, str, int]], draw: st.DataObject
) -> None:
    with folder_in_memory() as folder:
        into = open_ledger(folder)
        for write, service, n in writes:
            write(into, service, n)
        for service in SERVICES:
            entries = into.history.entries(service)
            assert verify_chain(entries, service) == into.history.head(service)
            if len(entries) > 1:
                number = draw.draw(st.integers(1, len(entries) - 1))
                _forge(into, service, number, draw)
                found = verify_chain(into.history.entries(service), service)
                assert isinstance(found, BrokenAt)
                assert found.number in {number, number + 1}
        into.close()


def _forge(into: Ledger, service: str, number: int, draw: st.DataObject) -> None:
    """Do in the database what whoever can write its file could do."""
    here = (events.c.service == service) & (events.c.number == number)
    with into.database.write() as connection:
        how = draw.draw(st.sampled_from(["alter", "remove", "swap", "redate"]))
        if how == "alter":
            connection.execute(sa.update(events).where(here).values(data={"forged": True}))
        elif how == "redate":
            connection.execute(sa.update(events).where(here).values(at="2020-01-01T00:00:00.0Z"))
        elif how == "remove":
            connection.execute(sa.delete(events).where(here))
        else:
            for old, new in ((number, -1), (number + 1, number), (-1, number + 1)):
                there = (events.c.service == service) & (events.c.number == old)
                connection.execute(sa.update(events).where(there).values(number=new))
