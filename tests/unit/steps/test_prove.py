"""A revision at 0 % answers its model's own example, or takes no traffic."""

from dataclasses import replace

import pytest

from pipeline.domain.evidence import ProvenRevision, Refused, Stopped, VerifiedImage
from pipeline.domain.references import Digest
from pipeline.domain.serving import Readiness
from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.steps.prove import ANSWERS_WITHIN, prove
from tests.unit.steps.serving_scene import ABORT, Scene, verified

EXAMPLE = '{"instances": [[1.0]]}'
AWAY = UnavailableError("ask", "the tagged URL", "no route yet")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def run(scene: Scene, image: VerifiedImage | None = None) -> ProvenRevision | Refused | Stopped:
    return prove(
        scene.revision,
        verified=image or verified(2, EXAMPLE),
        target=scene.target,
        clock=scene.clock,
        journal=scene.journal,
    )


def test_a_revision_that_answers_the_example_is_proven_at_no_percent(scene: Scene) -> None:
    assert run(scene) == ProvenRevision(scene.revision, "example")
    assert scene.target.asked == [(scene.new, EXAMPLE.encode())]
    assert scene.percent == 0


def test_a_revision_whose_example_nobody_knows_is_only_ready_and_says_so(scene: Scene) -> None:
    proven = run(scene, verified(2))
    why = "no example that the image answered is kept with it"
    assert proven == ProvenRevision(scene.revision, "ready", why)
    assert scene.target.asked == []


def test_an_example_too_large_to_be_kept_is_told_by_its_digest(scene: Scene) -> None:
    large = Digest.of(b"large")
    proven = run(scene, replace(verified(2), example_digest=large))
    assert isinstance(proven, ProvenRevision)
    assert proven.why == f"its example {large.short} is too large to be kept with the image"


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_model_that_answers_its_example_with_an_error_is_refused_in_its_own_words(
    scene: Scene, status: int
) -> None:
    scene.target.replies = [(status, b"KeyError:\n  'amount'")]
    refused = run(scene)
    assert isinstance(refused, Refused)
    assert refused.reason == (
        f"fraud's new revision fraud-00002 answers the model's own logged example with {status} "
        "KeyError: 'amount'; it took no traffic: mend the model, or what it needs there, and "
        "promote it again"
    )


def test_an_error_without_a_word_is_told_as_one(scene: Scene) -> None:
    scene.target.replies = [(500, b"")]
    refused = run(scene)
    assert isinstance(refused, Refused)
    assert "with 500 and no word; it took no traffic" in refused.reason


@pytest.mark.parametrize("away", [AWAY, (503, b"no healthy upstream"), (502, b""), (504, b"late")])
def test_what_cannot_be_reached_yet_is_asked_again_every_second(
    scene: Scene, away: tuple[int, bytes] | Exception
) -> None:
    scene.target.replies = [away, away, away]
    assert run(scene) == ProvenRevision(scene.revision, "example")
    assert scene.clock.slept == [1.0, 1.0, 1.0]


def test_what_cannot_be_reached_for_long_is_refused_with_what_was_said_last(scene: Scene) -> None:
    scene.target.replies = [AWAY] * 1000
    refused = run(scene)
    assert isinstance(refused, Refused)
    assert (
        "could not be asked for 120 s: could not ask (the tagged URL): no route" in refused.reason
    )
    assert scene.clock.elapsed == ANSWERS_WITHIN


def test_a_model_that_ends_on_its_example_is_refused_with_its_last_words(scene: Scene) -> None:
    scene.target.replies = [AWAY] * 1000
    scene.target.answers = [(Readiness.STARTING, ""), (Readiness.FAILED, "OOMKilled")]
    refused = run(scene)
    assert isinstance(refused, Refused)
    assert "ended on the model's own logged example: OOMKilled" in refused.reason
    assert scene.clock.elapsed == 1


def test_a_decision_ends_the_proof_within_a_second(scene: Scene) -> None:
    scene.target.replies = [AWAY] * 1000
    scene.clock.passing.append(lambda _: setattr(scene.journal, "decision", ABORT))
    assert run(scene) == Stopped(ABORT)
    assert scene.clock.elapsed == 1


def test_a_right_that_is_missing_is_a_fault_and_no_refusal(scene: Scene) -> None:
    scene.target.replies = [ForbiddenError("ask", "fraud", "mend the gateway's policy")]
    with pytest.raises(ForbiddenError):
        run(scene)
