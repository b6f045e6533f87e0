"""One promotion, top to bottom, on fakes: what each bad and good end leaves behind."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.aliases import NOTHING
from pipeline.domain.evidence import Refused
from pipeline.domain.plan import OnReturn
from pipeline.domain.pods import PodPlan
from pipeline.domain.promotion import ControlKind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.serving import Readiness
from pipeline.errors import (
    DriftedError,
    ForbiddenError,
    PermanentError,
    RejectedError,
    UnavailableError,
)
from pipeline.promote import STEPS
from pipeline.run import Ended
from pipeline.steps import compare
from pipeline.transfer import copy_image
from pipeline.trust.keys import PrivateKey
from tests.fakes.metrics import Behaviour
from tests.unit.promotion_scene import MODEL, PLAN, SERVICE, InMemoryCheckpoints, Scene, scene

FIRST_DEPLOY = [
    *("resolve", "check", "recall", "describe", "lock", "build", "smoke", "sign"),
    *("verify", "remember", "observe", "admit", "attest_deployment", "deploy", "prove"),
    *("stand_by", "complete"),
]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@pytest.fixture
def serving(one: Scene) -> Scene:
    """Version 1 serves; version 2 waits to be promoted."""
    assert one.promote(1).phase is Phase.SUCCEEDED
    return one


def test_a_first_deploy_takes_everything_at_once(one: Scene) -> None:
    ended = one.promote(1)
    assert (ended.phase, ended.reason) == (Phase.SUCCEEDED, "fraud serves scorer/1")
    assert one.serves == (1, 0)
    assert one.target.shifts == []
    assert one.steps() == FIRST_DEPLOY


def test_every_step_that_runs_is_told_by_laurel_steps(one: Scene) -> None:
    ran: set[str] = set()
    for version in (1, 2):  # the first has nothing to be compared with
        one.promote(version)
        ran |= set(one.steps())
    told = {name for name, _ in STEPS}
    assert ran - {"remember", "observe"} == told - {"restore"}


def test_a_second_version_rises_through_its_canary(serving: Scene) -> None:
    assert serving.promote(2).phase is Phase.SUCCEEDED
    assert serving.target.shifts == [10, 50]
    assert serving.serves == (2, 0)
    first, second = serving.promotions
    assert second.previous_image == first.image
    assert None not in {second.artifact_digest, second.lock_digest, second.base_digest}
    assert second.run_id == "run-2"


def refuse_check(made: Scene) -> None:
    made.plan = replace(PLAN, required_tags={"approved": "yes"})


def refuse_describe(made: Scene) -> None:
    made.files.folder = made.files.folder.parent / "nothing-here"


def refuse_lock(made: Scene) -> None:
    made.resolver.refusal = Refused("a clashes with b")


def refuse_smoke(made: Scene) -> None:
    made.runner.status = 500


def refuse_verify(made: Scene) -> None:
    made.at_step("verify", made.images.listed.clear)


def refuse_deploy(made: Scene) -> None:
    made.target.answers = [(Readiness.FAILED, "out of memory")]


def refuse_prove(made: Scene) -> None:
    made.target.replies = [(500, b"KeyError: 'amount'")]


def refuse_canary(made: Scene) -> None:
    made.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)


@pytest.mark.parametrize(
    "refuse",
    [
        *(refuse_check, refuse_describe, refuse_lock, refuse_smoke),
        *(refuse_verify, refuse_deploy, refuse_prove, refuse_canary),
    ],
)
def test_a_no_ends_failed_with_stable_untouched(
    serving: Scene, refuse: Callable[[Scene], None]
) -> None:
    refuse(serving)
    ended = serving.promote(2)
    assert ended.phase is Phase.FAILED
    assert serving.steps()[-1] == refuse.__name__.removeprefix("refuse_")
    assert serving.serves == (1, 0)
    assert serving.target.observe(SERVICE).canary is None


def test_a_deleted_version_fails_with_one_sentence_that_says_what_to_do(serving: Scene) -> None:
    accepted = serving.accept(2)
    del serving.models.versions[accepted.model]
    ended = serving.run(accepted)
    assert (ended.phase, ended.reason) == (
        Phase.FAILED,
        "scorer/2 is not in MLflow: register it again and move the alias",
    )
    assert serving.serves == (1, 0)


@pytest.mark.parametrize(
    "fault", [ForbiddenError("list files", "scorer/2", "ask for access"), ValueError("oops")]
)
def test_a_fault_ends_errored_and_says_what_to_do(serving: Scene, fault: Exception) -> None:
    serving.files.fault = fault
    ended = serving.promote(2)
    assert ended.phase is Phase.ERRORED
    assert "ask for access" in ended.reason or "see the log" in ended.reason
    assert serving.serves == (1, 0)


@pytest.mark.parametrize("step", [*FIRST_DEPLOY[:-2], "canary", "complete"])
@pytest.mark.parametrize("kind", [ControlKind.ABORT, ControlKind.SUPERSEDE])
def test_a_decision_ends_it_at_the_next_boundary_with_stable_serving(
    serving: Scene, step: str, kind: ControlKind
) -> None:
    serving.at_step(step, lambda: serving.decide(kind))
    ended = serving.promote(2)
    if step == "complete":  # too late: it is done
        assert (ended.phase, serving.serves) == (Phase.SUCCEEDED, (2, 0))
        return
    phase = Phase.ABORTED if kind is ControlKind.ABORT else Phase.SUPERSEDED
    assert (ended.phase, ended.reason) == (phase, "not this one")
    assert serving.serves == (1, 0)
    assert serving.steps()[-1] == step


def test_an_alias_that_moved_before_the_build_supersedes(serving: Scene) -> None:
    serving.at_step("lock", lambda: serving.models.point(MODEL, "champion", 3))
    ended = serving.promote(2)
    assert (ended.phase, ended.reason) == (
        Phase.SUPERSEDED,
        "scorer@champion names version 3 now",
    )
    assert "build" not in serving.steps()


def test_an_alias_that_moved_during_the_canary_supersedes_before_the_next_raise(
    serving: Scene,
) -> None:
    serving.at_step("canary", lambda: serving.models.point(MODEL, "champion", 3))
    assert serving.promote(2).phase is Phase.SUPERSEDED
    assert serving.target.shifts == []
    assert serving.serves == (1, 0)


def test_while_mlflow_is_away_the_build_waits_and_the_promotion_says_so(serving: Scene) -> None:
    waited: list[str] = []

    def back_after_a_while(_seconds: float) -> None:
        waiting = serving.promotions[-1].waiting
        waited.append("" if waiting is None else waiting.for_)
        serving.models.away = len(waited) < 5

    def away() -> None:
        serving.models.away = True
        serving.clock.passing.append(back_after_a_while)

    serving.at_step("lock", away)
    assert serving.promote(2).phase is Phase.SUCCEEDED
    assert waited[0] == "mlflow"
    assert serving.promotions[-1].waiting is None


def test_a_right_that_is_missing_while_the_alias_is_read_again_ends_errored(
    serving: Scene,
) -> None:
    def forbid() -> None:
        raise ForbiddenError("read the alias", "scorer@champion", "mend the token")

    def forbidden() -> None:
        serving.models.at_read = forbid

    serving.at_step("lock", forbidden)
    ended = serving.promote(2)
    assert ended.phase is Phase.ERRORED
    assert "mend the token" in ended.reason


def test_the_same_version_again_is_its_recorded_image_and_reads_no_file(serving: Scene) -> None:
    serving.promote(2)
    image, reads = serving.promotions[1].image, serving.files.read_files
    serving.promote(1)
    serving.promote(2)
    assert serving.promotions[3].image == image
    assert serving.files.read_files == reads
    assert not {"describe", "lock", "build", "smoke", "sign"} & set(serving.steps())


def test_rebuild_makes_a_new_image_and_a_new_canary(serving: Scene) -> None:
    assert serving.promote(1, rebuild=True).phase is Phase.SUCCEEDED
    first, second = serving.promotions
    assert second.image != first.image
    assert serving.target.shifts == [10, 50]


def test_the_same_version_again_asks_the_registry_one_thing_to_find_its_image(
    serving: Scene,
) -> None:
    asked: list[int] = []
    for step in ("recall", "verify"):
        serving.at_step(step, lambda: asked.append(serving.images.requests))
    serving.promote(1)
    assert asked[1] - asked[0] == 1


def test_a_base_refresh_arrives_as_a_canary_like_any_other(serving: Scene) -> None:
    serving.plan = replace(PLAN, base=f"python:3.11-slim@{Digest.of(b'a newer base')}")
    assert serving.promote(1).phase is Phase.SUCCEEDED
    first, second = serving.promotions
    assert (first.model, first.artifact_digest) == (second.model, second.artifact_digest)
    assert first.base_digest != second.base_digest
    assert first.image != second.image
    assert serving.target.shifts == [10, 50]
    assert {"build", "smoke", "sign", "verify", "canary"} <= set(serving.steps())


def test_a_bad_base_refresh_goes_back_to_the_image_on_the_old_base(serving: Scene) -> None:
    refuse_canary(serving)
    serving.plan = replace(PLAN, base=f"python:3.11-slim@{Digest.of(b'a newer base')}")
    assert serving.promote(1).phase is Phase.FAILED
    state = serving.target.observe(SERVICE)
    assert (state.stable and state.stable.image, state.canary) == (
        serving.promotions[0].image,
        None,
    )


PROD = replace(PLAN, repository="prod/fraud", copy_from="ml/fraud")


def test_an_image_built_for_another_repository_is_copied_verified_and_rolled_out(
    serving: Scene,
) -> None:
    reads = serving.files.read_files
    serving.target.services.clear()
    serving.plan = PROD
    assert serving.promote(1).phase is Phase.SUCCEEDED
    staged, copied = (promotion.image for promotion in serving.promotions)
    assert staged is not None
    assert copied == ImageRef("prod/fraud", staged.digest)
    assert serving.files.read_files == reads
    assert not {"describe", "lock", "build", "smoke", "sign"} & set(serving.steps())
    tagged = serving.images.tagged
    assert {digest for (name, _), digest in tagged.items() if name == "prod/fraud"} == {
        staged.digest
    }


def test_a_rollback_returns_to_an_image_that_was_copied(serving: Scene) -> None:
    serving.plan = PROD
    for version in (1, 2):
        assert serving.promote(version).phase is Phase.SUCCEEDED
    assert serving.roll_back_to(serving.promotions[1].image).phase is Phase.SUCCEEDED
    assert serving.serves == (1, 0)


def test_an_image_copied_by_hand_from_a_third_repository_is_refused(serving: Scene) -> None:
    image = serving.promotions[0].image
    assert image is not None
    for repository in ("third/fraud", "prod/fraud"):
        copy_image(image, repository, registry=serving.images)
    serving.images.tagged.update(
        {
            ("prod/fraud", tag): digest
            for (_, tag), digest in serving.images.tagged.items()
            if tag.startswith("laurel-")
        }
    )
    serving.plan = replace(PROD, copy_from="staging/fraud")
    ended = serving.promote(1)
    assert ended.phase is Phase.FAILED
    assert "its repository is ml/fraud, wanted is prod/fraud or staging/fraud" in ended.reason
    assert serving.serves == (1, 0)
    assert "deploy" not in serving.steps()


def test_without_copy_from_no_copy_is_trusted(serving: Scene) -> None:
    serving.plan = PROD
    serving.promote(1)
    serving.plan = replace(PROD, copy_from="")
    ended = serving.promote(1)
    assert ended.phase is Phase.FAILED
    assert "its repository is ml/fraud, wanted is prod/fraud;" in ended.reason


@pytest.mark.parametrize("on_return", list(OnReturn))
def test_an_alias_that_returns_does_what_on_return_says(
    serving: Scene, on_return: OnReturn
) -> None:
    serving.promote(2)
    serving.target.shifts.clear()
    serving.plan = replace(PLAN, on_return=on_return)
    assert serving.promote(1).phase is Phase.SUCCEEDED
    assert serving.serves == (1, 0)
    assert serving.target.shifts == ([] if on_return is OnReturn.ROLLBACK else [10, 50])


def test_what_a_person_rolled_back_returns_as_a_canary(serving: Scene) -> None:
    serving.promote(2)
    serving.roll_back_to(serving.promotions[0].image)
    serving.target.shifts.clear()
    assert serving.promote(2).phase is Phase.SUCCEEDED
    assert serving.target.shifts == [10, 50]


class Killed(BaseException):
    """The worker is gone."""


@pytest.fixture
def killed_at_the_end(
    serving: Scene, monkeypatch: pytest.MonkeyPatch
) -> tuple[Promotion, InMemoryCheckpoints]:
    """Version 2 has everything, and its worker was killed before it could say so."""
    complete, checkpoints = serving.target.complete, InMemoryCheckpoints()

    def killed(service: str, revision: str, sequence: int) -> None:
        complete(service, revision, sequence)
        raise Killed

    accepted = serving.accept(2)
    monkeypatch.setattr(serving.target, "complete", killed)
    with pytest.raises(Killed):
        serving.run(accepted, checkpoints)
    monkeypatch.setattr(serving.target, "complete", complete)
    return accepted, checkpoints


def test_a_decision_after_everything_was_given_is_too_late_and_says_so(
    serving: Scene, killed_at_the_end: tuple[Promotion, InMemoryCheckpoints]
) -> None:
    serving.decide(ControlKind.ABORT, "not this one")
    ended = serving.run(*killed_at_the_end)
    assert serving.serves == (2, 0)
    assert ended.phase is Phase.SUCCEEDED
    assert ended.reason == "fraud served it before it could be stopped: not this one"


def test_what_served_before_stays_known_when_the_end_is_repeated(
    one: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = one.target.complete

    def killed(service: str, revision: str, sequence: int) -> None:
        complete(service, revision, sequence)
        raise Killed

    accepted = one.accept(1)
    monkeypatch.setattr(one.target, "complete", killed)
    with pytest.raises(Killed):
        one.run(accepted)
    monkeypatch.setattr(one.target, "complete", complete)
    assert one.run(accepted).phase is Phase.SUCCEEDED
    assert one.promotions[0].previous_image is None


def test_what_serves_already_is_recorded_as_such_and_nothing_moves(serving: Scene) -> None:
    ended = serving.promote(1)
    assert (ended.phase, ended.reason) == (Phase.SUCCEEDED, "fraud already serves scorer/1")
    assert "deploy" not in serving.steps()


def test_a_lost_ledger_finds_the_verified_image_serving_and_moves_nothing(
    serving: Scene, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    with scene(tmp_path / "new", images=serving.images, target=serving.target) as found:
        ended = found.promote(1)
    assert (ended.phase, ended.reason) == (Phase.SUCCEEDED, "fraud already serves scorer/1")


def test_a_lost_ledger_starts_a_canary_from_the_laurel_image_that_serves(
    serving: Scene, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    with scene(tmp_path / "new", images=serving.images, target=serving.target) as found:
        found.ledger.states.observed(serving.target.observe(SERVICE), found.clock.now())
        assert found.promote(2).phase is Phase.SUCCEEDED
        assert found.promotions[0].sequence == 2
    assert serving.target.shifts == [10, 50]


def test_a_service_that_serves_something_foreign_is_left_alone(
    one: Scene,
) -> None:
    one.target.foreign = "docker.io/someone/else"
    ended = one.promote(1)
    assert ended.phase is Phase.FAILED
    assert "docker.io/someone/else, which Laurel did not put there" in ended.reason
    assert not {"attest_deployment", "deploy"} & set(one.steps())
    assert one.target.observe(SERVICE).stable is None


def test_a_service_that_serves_something_foreign_is_taken_over_where_that_is_asked_for(
    one: Scene,
) -> None:
    one.target.foreign = "docker.io/someone/else"
    one.plan = replace(PLAN, pods=PodPlan(adopt=True))
    assert one.promote(1).phase is Phase.SUCCEEDED
    assert one.serves == (1, 0)
    (observed,) = [
        event.data["evidence"]
        for event in one.ledger.events.of("p-1", kind="step_ended")
        if event.data["name"] == "observe"
    ]
    assert observed["adopted"] == [f"fraud: docker.io/someone/else -> {one.promotions[0].image}"]


@pytest.mark.parametrize("answered", [(200, b"{}"), (500, b"KeyError")], ids=["well", "badly"])
def test_the_first_deploy_is_proved_with_the_models_own_example_before_it_takes_everything(
    one: Scene, answered: tuple[int, bytes]
) -> None:
    one.target.replies = [answered]
    ended = one.promote(1)
    ((revision, asked),) = one.target.asked
    assert revision == "fraud-00001"
    assert json.loads(asked) == json.loads(
        (one.files.folder / "serving_input_example.json").read_text()
    )
    well = answered[0] == 200
    assert ended.phase is (Phase.SUCCEEDED if well else Phase.FAILED)
    assert one.serves == ((1, 0) if well else (None, 0))


def test_a_recalled_image_is_proved_with_the_request_that_its_provenance_keeps(
    serving: Scene,
) -> None:
    serving.promote(2)
    reads = serving.files.read_files
    serving.target.asked.clear()
    serving.plan = replace(PLAN, on_return=OnReturn.CANARY)
    assert serving.promote(1).phase is Phase.SUCCEEDED
    assert serving.files.read_files == reads + 2  # two signatures, and nothing that is in an image
    ((_, asked),) = serving.target.asked
    assert b"dataframe_split" in asked


def test_a_return_to_what_served_before_is_not_proved_again(serving: Scene) -> None:
    serving.promote(2)
    serving.target.asked.clear()
    serving.promote(1)
    serving.roll_back_to(serving.promotions[1].image)
    assert serving.target.asked == []
    assert serving.target.at_once


@pytest.mark.parametrize("call", ["deploy", "shift", "complete"])
def test_a_no_of_the_targets_own_policy_ends_failed_with_its_words(
    serving: Scene, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def rejected(*_: object, **__: object) -> None:
        raise RejectedError("change the service", "fraud", "quota cpu is used up: raise it")

    monkeypatch.setattr(serving.target, call, rejected)
    ended = serving.promote(2)
    assert (ended.phase, serving.serves) == (Phase.FAILED, (1, 0))
    assert ended.reason == "could not change the service (fraud): quota cpu is used up: raise it"
    assert serving.target.observe(SERVICE).canary is None


@pytest.mark.parametrize("call", ["shift", "complete"])
def test_a_person_who_edits_in_the_middle_ends_it_with_what_was_edited_and_stable_back(
    serving: Scene, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def edited(*_: object) -> None:
        serving.target.edit(SERVICE, ImageRef("ml/fraud", Digest.of(b"theirs")), "image edited")
        hint = "somebody set the image to ml/fraud:hotfix: agree with them, then promote again"
        raise DriftedError("shift traffic", "fraud", hint)

    monkeypatch.setattr(serving.target, call, edited)
    ended = serving.promote(2)
    assert ended.phase is Phase.ERRORED
    assert "somebody set the image to ml/fraud:hotfix" in ended.reason
    state = serving.target.observe(SERVICE)
    assert (serving.serves, state.drift) == ((1, 0), "")
    assert state.stable is not None
    assert state.stable.image == serving.promotions[0].image


def test_a_rollback_verifies_and_moves_without_build_or_analysis(serving: Scene) -> None:
    serving.promote(2)
    serving.target.shifts.clear()
    ended = serving.roll_back_to(serving.promotions[0].image)
    assert (ended.phase, ended.reason) == (Phase.SUCCEEDED, "fraud serves scorer/1")
    moving = ["recorded", "verify", "observe", "attest_deployment", "deploy", "complete"]
    assert serving.steps() == moving
    assert serving.target.shifts == []
    assert serving.serves == (1, 0)


def test_a_rollback_that_does_not_verify_leaves_the_traffic(serving: Scene) -> None:
    serving.promote(2)
    serving.policy_key = PrivateKey.generate()
    ended = serving.roll_back_to(serving.promotions[0].image)
    assert ended.phase is Phase.FAILED
    assert serving.serves == (2, 0)


def test_a_rollback_to_nothing_or_to_what_is_gone_leaves_the_traffic(serving: Scene) -> None:
    assert serving.roll_back_to(None).phase is Phase.FAILED
    gone = ImageRef("ml/fraud", Digest.of(b"never pushed"))
    assert serving.roll_back_to(gone).phase in {Phase.FAILED, Phase.ERRORED}
    assert serving.serves == (1, 0)


def test_a_first_deploy_that_is_never_ready_fails_and_is_removed(one: Scene) -> None:
    one.target.answers = [(Readiness.STARTING, "loading")] * 10_000
    ended = one.promote(1)
    assert ended.phase is Phase.FAILED
    assert "was not ready within 600 s" in ended.reason
    assert one.serves == (None, 0)
    assert one.target.services[SERVICE].revisions == {}


def test_a_request_by_alias_is_of_the_version_that_it_names_when_it_starts(one: Scene) -> None:
    accepted = one.accept(2)
    accepted = one.accept(2, model=replace(accepted.model, version=0))
    assert one.run(accepted).phase is Phase.SUCCEEDED
    assert one.promotions[-1].model.version == 2
    assert one.serves == (2, 0)


@pytest.mark.parametrize(("named", "held"), [(1, True), (2, False), (None, True)])
def test_a_version_promoted_by_hand_holds_its_service_where_the_alias_names_another(
    serving: Scene, named: int | None, *, held: bool
) -> None:
    accepted = serving.accept(2, alias=None)
    trigger = replace(accepted.trigger, kind=TriggerKind.CLI, actor="ada")
    accepted = serving.accept(2, alias=None, trigger=trigger)
    serving.models.point(MODEL, "champion", named)
    assert serving.run(accepted).phase is Phase.SUCCEEDED
    hold = serving.ledger.holds.get(SERVICE)
    assert (hold is not None) == held
    assert hold is None or (hold.actor, hold.alias_version) == ("ada", named or NOTHING)


def test_an_alias_by_hand_that_the_service_does_not_watch_holds_it(serving: Scene) -> None:
    serving.models.point(MODEL, "challenger", 2)
    accepted = serving.accept(2, alias=None)
    model = replace(accepted.model, version=0)
    trigger = replace(accepted.trigger, kind=TriggerKind.CLI, actor="ada")
    accepted = serving.accept(2, alias="challenger", model=model, trigger=trigger)
    serving.models.point(MODEL, "champion", 1)
    assert serving.run(accepted).phase is Phase.SUCCEEDED
    hold = serving.ledger.holds.get(SERVICE)
    assert hold is not None
    assert (hold.alias_version, hold.reason) == (1, "scorer/2 was promoted by hand")


def test_traffic_is_put_back_however_often_that_takes(
    serving: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_canary(serving)
    restore = serving.target.restore
    failures: list[Exception] = [OSError("no space left on device")] * 3
    failures += [PermanentError("restore", SERVICE, "the target is being upgraded")] * 2

    def reluctant(service: str, sequence: int) -> None:
        if failures:
            raise failures.pop()
        restore(service, sequence)

    monkeypatch.setattr(serving.target, "restore", reluctant)
    assert serving.promote(2).phase is Phase.FAILED
    retries = serving.ledger.events.of(serving.promotions[-1].id, kind="retry")
    assert len(retries) == 5
    assert serving.clock.slept[-5:] == [1, 2, 4, 8, 16]
    assert serving.target.observe(SERVICE).canary is None


def test_a_bad_canary_goes_back_while_nothing_can_be_written_about_it(
    serving: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_canary(serving)
    monkeypatch.setattr("pipeline.run.PATIENCE", timedelta(hours=1))
    append, room = serving.ledger.events.append, [True]

    def fills(promotion: str, at: datetime, kind: str, data: dict[str, Any]) -> None:
        if not room:
            raise UnavailableError("use the ledger", "disk full", "free disk space")
        append(promotion, at, kind, data)
        if data.get("percent") == 10:
            room.clear()

    monkeypatch.setattr(serving.ledger.events, "append", fills)
    with pytest.raises(UnavailableError, match="disk full"):
        serving.promote(2)
    assert serving.target.shifts[0] == 10
    assert serving.serves == (1, 0)


def test_no_canary_gets_traffic_of_which_nothing_can_be_written(
    serving: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, looks = serving.ledger.events.append, [1] * 3

    def full(promotion: str, at: datetime, kind: str, data: dict[str, Any]) -> None:
        if kind == "look" and looks:
            looks.pop()
            raise UnavailableError("use the ledger", "disk full", "free disk space")
        assert looks == [] or serving.serves == (1, 0)
        append(promotion, at, kind, data)

    monkeypatch.setattr(serving.ledger.events, "append", full)
    assert serving.promote(2).phase is Phase.SUCCEEDED


def test_traffic_is_put_back_even_while_the_ledger_takes_no_notes(
    serving: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_canary(serving)
    restore, failures = serving.target.restore, [1]

    def reluctant(service: str, sequence: int) -> None:
        if failures:
            failures.pop()
            monkeypatch.setattr(serving.ledger.events, "append", full)
            raise UnavailableError("restore", service, "wait")
        restore(service, sequence)

    def full(*_event: object) -> None:
        raise UnavailableError("use the ledger", "disk full", "free disk space")

    monkeypatch.setattr(serving.target, "restore", reluctant)
    assert serving.promote(2).phase is Phase.FAILED
    assert serving.target.observe(SERVICE).canary is None


def test_a_restored_attempt_verifies_anew_and_repeats_no_finished_step(serving: Scene) -> None:
    accepted, checkpoints = serving.accept(2), InMemoryCheckpoints()

    class Crash(BaseException):
        """The worker is killed."""

    def crash() -> None:
        raise Crash

    serving.at_step("deploy", crash)
    with pytest.raises(Crash):
        serving.run(accepted, checkpoints)
    serving.at_step("deploy", lambda: None)
    del serving.ledger.events.append  # the hook goes
    assert serving.run(accepted, checkpoints).phase is Phase.SUCCEEDED
    steps = serving.steps()
    assert steps.count("verify") == 2
    assert steps.count("build") == steps.count("smoke") == 1
    assert steps.count("deploy") == 2


def test_an_image_tampered_with_between_two_lives_takes_no_traffic(serving: Scene) -> None:
    accepted, checkpoints = serving.accept(2), InMemoryCheckpoints()
    serving.at_step("verify", lambda: serving.decide(ControlKind.ABORT))
    serving.run(accepted, checkpoints)
    serving.images.listed.clear()
    again = serving.accept(2)
    assert serving.run(again, checkpoints).phase is Phase.FAILED
    assert serving.serves == (1, 0)


def built_elsewhere(serving: Scene, version: int) -> ImageRef:
    """Make a version's image, as `laurel build` does, and take every trace from the ledger."""
    serving.promote(version)
    image = serving.promotions[-1].image
    assert image is not None
    serving.roll_back_to(serving.promotions[0].image)
    return image


def promote_image(serving: Scene, image: ImageRef) -> Ended:
    asked = Trigger(TriggerKind.GITHUB, "github:octocat (acme/models)", serving.clock.now())
    nobody_looked = ModelVersion(MODEL, 0)
    return serving.promote(0, target=image, alias=None, model=nobody_looked, trigger=asked)


def test_an_image_that_was_built_elsewhere_rises_through_its_canary(serving: Scene) -> None:
    image = built_elsewhere(serving, 2)
    serving.models.point(MODEL, "champion", 2)
    serving.target.shifts.clear()
    ended = promote_image(serving, image)
    assert (ended.phase, ended.reason) == (Phase.SUCCEEDED, "fraud serves scorer/2")
    *_, promotion = serving.promotions
    assert (promotion.model.version, promotion.image) == (2, image)
    assert promotion.run_id == "run-2"
    assert serving.target.shifts == [10, 50]
    steps = serving.steps()
    assert steps[:4] == ["recognise", "resolve", "read_alias", "check"]
    assert not {"recall", "build", "smoke", "sign"} & set(steps)


def test_an_image_of_a_version_that_the_alias_does_not_name_holds_the_service(
    serving: Scene,
) -> None:
    image = built_elsewhere(serving, 2)
    serving.models.point(MODEL, "champion", 3)
    promote_image(serving, image)
    hold = serving.ledger.holds.get(SERVICE)
    assert hold is not None
    assert hold.reason == "scorer/2 was promoted by hand"


def test_an_image_is_held_against_trust_and_policy_as_every_other(serving: Scene) -> None:
    image = built_elsewhere(serving, 2)
    serving.plan = replace(PLAN, required_tags={"approved": "yes"})
    ended = promote_image(serving, image)
    assert ended.phase is Phase.FAILED
    assert "may not be promoted" in ended.reason
    assert serving.serves == (1, 0)
    serving.plan = PLAN
    serving.images.listed.clear()
    ended = promote_image(serving, image)
    assert ended.phase is Phase.FAILED
    assert "is not to be trusted" in ended.reason
    assert serving.serves == (1, 0)


def test_a_version_that_would_break_callers_gets_no_traffic(
    serving: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {1: '{"inputs": "[{\\"name\\": \\"a\\", \\"type\\": \\"long\\"}]"}', 2: None}
    monkeypatch.setattr(compare, "signature_of", lambda model, **_: declared[model.version])
    ended = serving.promote(2)
    assert ended.phase is Phase.FAILED
    assert "it has no signature any more" in ended.reason
    assert serving.serves == (1, 0)
    assert "deploy" not in serving.steps()
    serving.plan = replace(PLAN, compatible_signature=False)
    assert serving.promote(2).phase is Phase.SUCCEEDED
