"""Why a cluster does not do what is asked for, and what somebody changed by hand."""

import pytest

from pipeline.errors import DriftedError
from pipeline.kserve.drift import drift, undisturbed
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.refusals import obstacle, refusal
from tests.unit.kserve.recorded import recorded, service

STABLE = "r@sha256:a"
CANARY = "r@sha256:b"


def written(image: str, there: int | None, **notes: str) -> InferenceService:
    """Make a service that asks for this, with these notes of Laurel's."""
    raw = recorded("c4-canary-10")["isvc"]
    predictor = raw["spec"]["predictor"]
    predictor["containers"][0]["image"] = image
    predictor.pop("canaryTrafficPercent", None)
    if there is not None:
        predictor["canaryTrafficPercent"] = there
    raw["metadata"]["annotations"] = {
        f"laurel.dev/{key}": value for key, value in ({"sequence": "1"} | notes).items()
    }
    return InferenceService.parse(raw)


def test_a_policy_that_refuses_the_pod_is_quoted() -> None:
    assert "image is not signed" in refusal(service("pod-denied-zero-1"))


def test_a_revision_that_may_not_be_made_is_quoted() -> None:
    assert "held by the test" in refusal(service("trap7-forced-held"))


@pytest.mark.parametrize(
    "moment",
    ["c1-v1-ready", "crashstart-2-failed", "never-2-failed", "trap4-crash-1-unready-at-30"],
)
def test_a_revision_that_fails_was_made(moment: str) -> None:
    assert refusal(service(moment)) == ""
    assert obstacle(service(moment)) == ""


@pytest.mark.parametrize(
    "said",
    [
        'failed calling webhook "x": context deadline exceeded',
        'services.serving.knative.dev "fraud-predictor" already exists',
        "read tcp 10.0.0.1:50000->10.0.0.2:443: read: connection reset by peer",
        "http2: client connection lost",
        "etcdserver: leader changed",
        'pods "x" is forbidden: not yet ready to handle request',
    ],
)
def test_what_kserve_says_while_a_neighbour_is_away_passes(said: str) -> None:
    raw = recorded("pod-denied-zero-1")["isvc"]
    for condition in raw["status"]["conditions"]:
        condition["message"] = f"fails to reconcile predictor: {said}"
    now = InferenceService.parse(raw)
    assert refusal(now) == ""
    assert said in obstacle(now)


@pytest.mark.parametrize(("moment", "stands"), [("c1-v1-ready", True), ("never-2-failed", False)])
def test_what_kserve_was_asked_to_leave_alone_it_does_while_it_is_ready(
    moment: str, *, stands: bool
) -> None:
    raw = recorded(moment)["isvc"]
    left = {"serving.kserve.io/disable-auto-update": "true"}
    raw["metadata"]["annotations"] = raw["metadata"].get("annotations", {}) | left
    now = InferenceService.parse(raw)
    assert refusal(now) == ""
    assert ("serving.kserve.io/disable-auto-update" in obstacle(now)) is stands


def test_what_laurel_wrote_has_not_drifted() -> None:
    assert drift(written(STABLE, None, digest=STABLE)) == ""
    assert drift(written(CANARY, 10, digest=STABLE, canary=CANARY, percent="10")) == ""
    assert drift(written(STABLE, 0, digest=STABLE, canary=CANARY, percent="0")) == ""


def test_what_laurel_never_wrote_on_cannot_drift() -> None:
    assert drift(service("trap1-percent-alone")) == ""


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            written("r@sha256:c", None, digest=STABLE),
            "image of fraud was set to r@sha256:c by hand",
        ),
        (written("", None, digest=STABLE), "image of fraud was set to none by hand"),
        (written(STABLE, 10, digest=STABLE), "was set to 10 % by hand, Laurel gave none"),
        (
            written(CANARY, 30, digest=STABLE, canary=CANARY, percent="10"),
            "was set to 30 % by hand, Laurel gave 10 %",
        ),
        (
            written(CANARY, None, digest=STABLE, canary=CANARY, percent="10"),
            "was removed by hand, Laurel gave 10 %",
        ),
    ],
)
def test_a_change_by_hand_is_one_sentence_with_the_next_step(
    now: InferenceService, said: str
) -> None:
    assert said in drift(now)
    assert drift(now).endswith("promote again, or let the service's drift setting heal or adopt it")


def test_a_canary_that_nobody_touched_goes_on() -> None:
    undisturbed(written(CANARY, 10, digest=STABLE, canary=CANARY, percent="10"), CANARY)


@pytest.mark.parametrize(
    "now",
    [
        written("r@sha256:c", 10, digest=STABLE, canary=CANARY, percent="10"),
        written(STABLE, 10, digest=STABLE, canary=CANARY, percent="10"),
        written(CANARY, 50, digest=STABLE, canary=CANARY, percent="10"),
        written(CANARY, None, digest=STABLE, canary=CANARY, percent="10"),
    ],
)
def test_a_canary_that_somebody_touched_ends(now: InferenceService) -> None:
    with pytest.raises(DriftedError, match="fraud"):
        undisturbed(now, CANARY)
