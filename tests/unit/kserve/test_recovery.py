"""What brings a service back to stable, decided from each state that it can be found in."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kserve.annotations import shield
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.observed import Share
from pipeline.kserve.recovery import Act, Sight, decide

A, B, C = "r@sha256:a", "r@sha256:b", "r@sha256:c"
ONE, TWO, THREE = "fraud-00001", "fraud-00002", "fraud-00003"


def isvc(image: str, percent: int | None, **said: str) -> InferenceService:
    """Make a service with a canary B in flight, whose stable is A."""
    notes = {"sequence": "3", "digest": A, "canary": B} | said
    raw = {
        "metadata": {
            "name": "fraud",
            "annotations": {f"laurel.dev/{key}": one for key, one in notes.items() if one},
        },
        "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": image}]}},
    }
    shield(raw)
    now = InferenceService.parse(raw)
    routed = {"PredictorRouteReady": replace(now.condition(""), status="True")}
    return replace(now, percent=percent, conditions=routed)


def seen(
    now: InferenceService,
    names: str,
    images: tuple[str, str],
    **more: object,
) -> Sight:
    """Show it with the last digits of created, ready, rolled out and previous revisions."""
    created, ready, rolled_out, previous = (f"fraud-0000{n}" if n != "-" else "" for n in names)
    now = replace(now, created=created, ready=ready, rolled_out=rolled_out, previous=previous)
    if not now.traffic:
        now = replace(now, traffic=(Share(rolled_out, 100),))
    return Sight(now, *images, **more)  # type: ignore[arg-type]  # passed on


STATES = {
    "a canary at 0 %": (seen(isvc(B, 0), "2211", (B, A)), Act.ABORT),
    "a canary with a share": (seen(isvc(B, 30), "2211", (B, A)), Act.ABORT),
    "a canary before which nothing was defended": (
        seen(isvc(B, 10), "3321", (B, A)),
        Act.DEFEND,
    ),
    "a canary that never got ready": (seen(isvc(B, 0), "2111", (B, A)), Act.ABORT),
    "a canary of which no revision was made": (seen(isvc(B, 0), "1111", (A, A)), Act.ABORT),
    "stable asked for, its revision not yet made": (seen(isvc(A, 0), "2211", (B, A)), Act.WAIT),
    "stable asked for, its revision not ready": (seen(isvc(A, 0), "3211", (A, A)), Act.WAIT),
    "stable asked for, KServe is refused and the canary is kept": (
        seen(isvc(A, 0), "2211", (B, A), kept=True),
        Act.BRAKE,
    ),
    "the same, and what is called rolled out is not stable's": (
        seen(isvc(A, 0), "3321", (B, C), kept=True),
        Act.WAIT,
    ),
    "stable asked for, its revision cold": (seen(isvc(A, 0), "3311", (A, A)), Act.WAIT),
    "a fresh revision of stable": (seen(isvc(A, 0), "3311", (A, A), able=True), Act.CLEAN),
    "no revision will come any more": (seen(isvc(A, 0), "1111", (A, A), final=True), Act.CLEAN),
    "a revision may still come": (seen(isvc(A, 0), "1111", (A, A)), Act.WAIT),
    "a percent by hand while stable comes": (seen(isvc(A, 40), "2211", (B, A)), Act.RETREAT),
    "the same, undefended": (seen(isvc(A, 40), "3321", (B, A)), Act.DEFEND),
    "memory that names the version before": (
        seen(isvc(B, 0), "3311", (B, C), standing=TWO),
        Act.REPAIR,
    ),
    "promoted by hand, stable still stands": (
        seen(isvc(B, None), "2221", (B, B), standing=ONE, strange=True),
        Act.RETREAT,
    ),
    "promoted by hand, stable is gone": (
        seen(isvc(B, None), "2221", (B, B), strange=True),
        Act.ABORT,
    ),
    "stable asked for, the canary has everything": (
        seen(isvc(A, None), "3211", (A, A), strange=True),
        Act.RETREAT,
    ),
    "the same, and memory would turn further back": (
        seen(isvc(A, None), "4321", (A, A), strange=True),
        Act.DEFEND,
    ),
    "all served, notes left": (seen(isvc(A, None), "3333", (A, A)), Act.CLEAN),
    "all clean": (seen(isvc(A, None, canary=""), "3331", (A, A)), Act.DONE),
    "clean, about to be rolled out": (seen(isvc(A, None, canary=""), "3311", (A, A)), Act.WAIT),
    "clean, and a fresh revision starts beside": (
        seen(isvc(A, None, canary=""), "3111", (A, A)),
        Act.DONE,
    ),
    "clean, and nothing answers yet": (
        seen(replace(isvc(A, None, canary=""), conditions={}), "3331", (A, A)),
        Act.WAIT,
    ),
    "a first deploy": (seen(isvc(B, None, digest="", made="true"), "1111", (B, B)), Act.REMOVE),
    "a model of somebody else's, not yet given back": (
        seen(isvc(B, 0, digest="", undo="{}"), "2211", (B, "their image")),
        Act.ABORT,
    ),
    "a model of somebody else's, given back": (
        seen(isvc("", None, digest="", canary=""), "3333", ("their image", "their image")),
        Act.DONE,
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_the_next_step_is_decided_from_what_stands_there(state: str) -> None:
    sight, act = STATES[state]
    assert decide(sight) is act


def stopped(now: InferenceService) -> InferenceService:
    notes = now.annotations | {"serving.kserve.io/stop": "true"}
    return replace(now, annotations=notes, traffic=())


def test_a_stopped_service_is_left_so_that_it_starts_with_stable() -> None:
    gone = Sight(stopped(isvc(B, 30)), "", "")
    assert decide(gone) is Act.WITHDRAW
    assert decide(Sight(stopped(isvc(A, None, canary="")), "", "")) is Act.DONE


def test_a_service_that_is_being_stopped_still_serves() -> None:
    running = replace(stopped(isvc(B, 30)), created=TWO, traffic=(Share(TWO, 30),))
    assert decide(Sight(running, B, A)) is Act.WAIT


IMAGES = st.sampled_from(["", A, B, C])
NAMES = st.sampled_from(["", ONE, TWO, THREE])


@given(
    image=IMAGES,
    percent=st.none() | st.integers(-1, 101),
    names=st.tuples(NAMES, NAMES, NAMES, NAMES),
    images=st.tuples(IMAGES, IMAGES),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    standing=NAMES,
)
def test_only_a_clean_service_that_stable_serves_is_done(
    image: str,
    percent: int | None,
    names: tuple[str, str, str, str],
    images: tuple[str, str],
    flags: tuple[bool, bool, bool],
    standing: str,
) -> None:
    now = isvc(image, percent)
    created, ready, rolled_out, previous = names
    now = replace(now, created=created, ready=ready, rolled_out=rolled_out, previous=previous)
    able, strange, final = flags
    sight = Sight(now, *images, able=able, standing=standing, strange=strange, final=final)
    act = decide(sight)
    if act is Act.DONE:
        assert image == A
        assert percent is None
        assert now.clean
        assert not strange
    if act in {Act.ABORT, Act.RETREAT} and images[1] == A:
        assert previous in {"", rolled_out}, "0 % could turn traffic to the version before"
    if act is Act.CLEAN and percent is not None:
        assert images[0] == A
        assert created == ready, "the percent keeps the canary away until stable is ready"
