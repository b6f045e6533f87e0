import pytest

from pipeline.cli.decide import what
from pipeline.domain.promotion import ControlKind, Kind, Phase
from pipeline.errors import InvalidReferenceError
from tests.unit.cli.conftest import FIRST, SECOND, Served, answer, laurel


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("fraud@champion", {"model": "fraud", "alias": "champion"}),
        ("fraud/7", {"model": "fraud", "version": 7}),
        ("team/fraud@champion", {"model": "team/fraud", "alias": "champion"}),
        ("me@home/007", {"model": "me@home", "version": 7}),
        ("a/b/3", {"model": "a/b", "version": 3}),
    ],
)
def test_a_model_version_is_named_by_alias_or_number(text: str, meaning: dict[str, object]) -> None:
    assert what(text) == meaning


@pytest.mark.parametrize("text", ["fraud", "@champion", "/7", "fraud@", "fraud/", "fraud/x", ""])
def test_anything_else_names_no_model_version(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match=r"is not a model version|MODEL@ALIAS"):
        what(text)


def test_promoting_an_alias_starts_a_promotion_of_whatever_it_names(served: Served) -> None:
    started = answer("promote", "fraud-scorer@champion", "--reason", "because")
    recorded = served.ledger.promotions.get(started["id"])
    assert recorded is not None
    assert (recorded.alias, recorded.model.version, recorded.reason) == ("champion", 0, "because")


def test_promoting_a_version_of_a_service_may_ask_for_a_new_image(served: Served) -> None:
    started = answer("promote", "fraud-scorer/7", "--service", "fraud", "--rebuild")
    recorded = served.ledger.promotions.get(started["id"])
    assert recorded is not None
    assert (recorded.model.version, recorded.rebuild) == (7, True)


def test_promoting_what_nothing_watches_is_a_mistake_of_the_caller(served: Served) -> None:
    assert served.url
    result = laurel("promote", "other@champion")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no service watches that model" in result.stderr


def test_a_started_promotion_is_shown_to_people(served: Served) -> None:
    assert served.url
    result = laurel("promote", "fraud-scorer@champion")
    assert "fraud-scorer@champion" in result.stdout
    assert "pending" in result.stdout


@pytest.mark.parametrize(
    ("option", "moves"), [("--move-alias", True), ("--keep-alias", False), ("--to=-1", False)]
)
def test_a_rollback_may_move_the_alias_too(served: Served, option: str, *, moves: bool) -> None:
    served.promoted(1, FIRST)
    served.promoted(2, SECOND)
    started = served.ledger.promotions.get(answer("rollback", "fraud", option)["id"])
    assert started is not None
    assert started.plan.move_alias is moves


def test_a_rollback_returns_to_what_served_before_and_holds(served: Served) -> None:
    served.promoted(1, FIRST)
    served.promoted(2, SECOND)
    started = answer("rollback", "fraud", "--to", "-1", "--reason", "odd answers")
    recorded = served.ledger.promotions.get(started["id"])
    assert recorded is not None
    assert (recorded.kind, recorded.target) == (Kind.ROLLBACK, FIRST)
    held = served.ledger.holds.get("fraud")
    assert held is not None
    assert held.reason == "odd answers"


def test_a_rollback_to_nothing_is_refused_with_what_would_do(served: Served) -> None:
    assert served.url
    result = laurel("rollback", "fraud")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Digests that would do" in result.stderr


@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_a_rollback_that_is_done_already_says_so(served: Served, wait: list[str]) -> None:
    served.promoted(1, FIRST)
    failed = served.promoted(2, SECOND, Phase.FAILED)
    result = laurel("rollback", "fraud", *wait)
    assert result.exit_code == 0
    assert failed.id in result.stdout
    assert result.stderr == "laurel: that is done already, by the promotion above; nothing moves\n"


def test_aborting_records_who_and_why(served: Served) -> None:
    promotion = served.promoted(1, FIRST, Phase.RUNNING)
    result = laurel("abort", promotion.id, "--reason", "wrong model")
    control = served.ledger.controls.first(promotion.id)
    assert control is not None
    assert (control.kind, control.reason) == (ControlKind.ABORT, "wrong model")
    assert result.exit_code == 0
    assert f"laurel status {promotion.id}" in result.stderr


def test_aborting_what_has_ended_is_refused(served: Served) -> None:
    result = laurel("abort", served.promoted(1, FIRST).id)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "succeeded" in result.stderr


def test_a_retry_says_what_it_retries(served: Served) -> None:
    failed = served.promoted(1, FIRST, Phase.FAILED)
    assert answer("retry", failed.id)["retry_of"] == failed.id


def test_a_service_is_held_and_released(served: Served) -> None:
    assert answer("hold", "fraud", "--reason", "audit")["hold"]["reason"] == "audit"
    assert served.ledger.holds.get("fraud") is not None
    assert answer("release", "fraud", "--reason", "it is over & done")["hold"] is None
    assert served.ledger.holds.get("fraud") is None
    assert answer("release", "fraud", "--reason", "none is held")["hold"] is None
    released = [e.data for e in served.ledger.history.entries("fraud") if e.kind == "released"]
    assert released == [{"actor": "operator", "reason": "it is over & done"}]


def test_holding_a_service_that_is_not_there_says_so(served: Served) -> None:
    assert served.url
    result = laurel("hold", "frued")
    assert result.exit_code == 2
    assert "no service of that name; laurel.yaml has fraud." in result.stderr


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase.SUCCEEDED, 0),
        (Phase.FAILED, 1),
        (Phase.ABORTED, 1),
        (Phase.SUPERSEDED, 1),
        (Phase.ERRORED, 3),
    ],
)
def test_waiting_ends_as_the_promotion_did(
    served: Served, monkeypatch: pytest.MonkeyPatch, phase: Phase, code: int
) -> None:
    def carry_out(_seconds: float) -> None:
        open_now = served.ledger.promotions.open()
        if open_now and open_now[0].phase is Phase.PENDING:
            served.ledger.promotions.change(open_now[0].id, phase=Phase.RUNNING)
        elif open_now:
            served.ledger.promotions.change(open_now[0].id, phase=phase, reason="so it went")

    monkeypatch.setattr("time.sleep", carry_out)
    result = laurel("promote", "fraud-scorer@champion", "--wait")
    assert result.exit_code == code
    assert result.stderr.splitlines() == [
        "fraud promotion pending",
        "fraud promotion running",
        f"fraud promotion {phase}: so it went",
    ]
    assert "so it went" in result.stdout


def test_an_image_is_promoted_by_its_digest(served: Served) -> None:
    started = answer("promote", "--image", FIRST.digest.value, "--service", "fraud")
    recorded = served.ledger.promotions.get(started["id"])
    assert recorded is not None
    assert (recorded.kind, recorded.model.version) == (Kind.PROMOTION, 0)
    assert recorded.target is not None
    assert recorded.target.digest == FIRST.digest


@pytest.mark.parametrize("named", [[], ["fraud-scorer/1", "--image", "sha256:1"]])
def test_a_version_or_an_image_is_promoted(served: Served, named: list[str]) -> None:
    assert served.url
    result = laurel("promote", *named)
    assert result.exit_code == 2
    assert "an --image and its --service" in result.stderr
