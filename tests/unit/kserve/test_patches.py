"""Every patch does what it says to the object that it was made for, and nothing to any other."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from pipeline.kserve import patches
from pipeline.kserve.annotations import shield
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.patches import Wanted
from pipeline.kserve.spec import changed
from tests.fakes.kubernetes_status import Refused
from tests.fakes.kubernetes_store import apply_patch
from tests.unit.kserve.plans import image, plan
from tests.unit.kserve.recorded import Json, recorded

STABLE = str(image(b"v1").ref)
CANARY = str(image(b"v2").ref)
WANTED = Wanted(CANARY, "fraud/2", 3)
SEQUENCE = "/metadata/annotations/laurel.dev~1sequence"
IMAGE = "/spec/predictor/containers/0/image"
PERCENT = "/spec/predictor/canaryTrafficPercent"


def at_rest(**notes: str) -> InferenceService:
    """Make a service of Laurel's that serves its stable image, with something of its user's."""
    raw = recorded("c5-promoted")["isvc"]
    predictor = raw["spec"]["predictor"]
    predictor["containers"][0] |= {"image": STABLE, "workingDir": "/user"}
    shield(raw)
    kept = {"sequence": "2", "digest": STABLE, "model": "fraud/1"} | notes
    raw["metadata"]["annotations"] = {f"laurel.dev/{key}": said for key, said in kept.items()}
    return InferenceService.parse(raw)


def started() -> InferenceService:
    now = at_rest()
    after = changed(now.raw, plan(), image(b"v2"))
    return applied(now, patches.started(now, after, WANTED, stable=""))


def applied(now: InferenceService, operations: list[Json]) -> InferenceService:
    return InferenceService.parse(apply_patch(deepcopy(now.raw), operations))


def user_fields(now: InferenceService) -> Any:  # noqa: ANN401 - JSON
    return now.raw["spec"]["predictor"]["containers"][0]["workingDir"]


def test_a_canary_starts_with_its_image_and_no_traffic_in_one_patch() -> None:
    now = started()
    assert (now.image, now.percent, now.given) == (CANARY, 0, 0)
    assert (now.digest, now.canary, now.canary_model) == (STABLE, CANARY, "fraud/2")
    assert (now.sequence, now.undoable) == (3, True)
    assert user_fields(now) == "/user"


def test_a_service_taken_over_notes_what_it_served() -> None:
    now = InferenceService.parse(recorded("c5-promoted")["isvc"])
    after = changed(now.raw, plan(), image(b"v2"))
    begun = applied(now, patches.started(now, after, WANTED, stable=now.image))
    assert begun.digest == now.image
    assert not begun.first


def test_a_first_deploy_has_no_percent() -> None:
    raw = at_rest().raw
    raw["metadata"]["annotations"] = {}
    now = InferenceService.parse(patches.begun(raw, Wanted(STABLE, "fraud/1", 1)))
    assert now.first
    after = changed(now.raw, plan(), image(b"v2"))
    again = applied(now, patches.started(now, after, WANTED, stable=""))
    assert (again.image, again.percent, again.canary, again.digest) == (CANARY, None, CANARY, "")
    assert again.first


def test_a_step_changes_the_percent_and_nothing_else() -> None:
    before = started()
    now = applied(before, patches.stepped(before, 25, 3))
    assert (now.percent, now.given) == (25, 25)
    now.raw["spec"]["predictor"]["canaryTrafficPercent"] = 0
    now.raw["metadata"]["annotations"]["laurel.dev/percent"] = "0"
    assert now.raw == before.raw


def test_a_promotion_takes_the_percent_and_every_note_of_the_canary_away() -> None:
    before = started()
    now = applied(before, patches.promoted(before, WANTED))
    assert now.clean
    assert (now.image, now.digest, now.model) == (CANARY, CANARY, "fraud/2")


def test_an_abort_asks_for_stable_with_its_own_settings() -> None:
    before = at_rest()
    after = changed(before.raw, plan(limits={"memory": "9Gi"}), image(b"v2"))
    canary = applied(before, patches.started(before, after, WANTED, stable=""))
    assert canary.raw["spec"] != before.raw["spec"]
    now = applied(canary, patches.aborted(canary, 3, removing=False))
    assert (now.image, now.percent) == (STABLE, 0)
    clean = applied(now, patches.cleaned(now, 3))
    assert clean.clean
    assert clean.raw["spec"] == before.raw["spec"]
    gone = applied(canary, patches.aborted(canary, 3, removing=True))
    assert gone.clean
    assert gone.raw["spec"] == before.raw["spec"]


def test_turning_back_swaps_stable_and_canary() -> None:
    before = at_rest()
    now = applied(before, patches.turned_back(before, WANTED))
    assert (now.image, now.percent) == (STABLE, 0)
    assert (now.digest, now.model) == (CANARY, "fraud/2")
    assert (now.canary, now.canary_model) == (STABLE, "fraud/1")


def test_an_announcement_changes_nothing_that_runs() -> None:
    before = at_rest()
    now = applied(before, patches.announced(before, WANTED))
    assert (now.canary, now.sequence) == (CANARY, 3)
    assert now.raw["spec"] == before.raw["spec"]
    assert patches.announced(now, WANTED) == []


def test_what_serves_already_is_recorded_where_that_makes_no_revision() -> None:
    now = at_rest()
    seen = applied(now, patches.recorded(now, Wanted(STABLE, "fraud/9", 5)))
    assert (seen.sequence, seen.model, seen.digest) == (5, "fraud/9", STABLE)
    unmarked = applied(now, patches.recorded(now, Wanted(STABLE, "", 5)))
    assert unmarked.model == "fraud/1"
    raw = at_rest().raw
    del raw["spec"]["predictor"]["annotations"]
    assert patches.recorded(InferenceService.parse(raw), WANTED) == []


def test_a_hold_is_written_and_taken_away_where_that_makes_no_revision() -> None:
    now = at_rest()
    held = applied(now, patches.held(now, "{}"))
    assert held.hold == "{}"
    assert patches.held(held, "{}") == []
    assert applied(held, patches.held(held, None)).raw == now.raw
    raw = at_rest().raw
    del raw["spec"]["predictor"]["annotations"]
    assert patches.held(InferenceService.parse(raw), "{}") == []


def test_what_kserve_remembers_is_defended_aimed_and_repaired() -> None:
    now = InferenceService.parse(recorded("c5-promoted")["isvc"])
    new, old = "fraud-predictor-00002", "fraud-predictor-00001"
    assert (now.rolled_out, now.previous) == (new, old)
    defended = applied(now, patches.defended(now))
    assert (defended.rolled_out, defended.previous) == (new, new)
    assert patches.defended(defended) == []
    aimed = applied(defended, patches.aimed(defended, old))
    assert (aimed.rolled_out, aimed.previous) == (new, old)
    assert patches.aimed(aimed, old) == []
    repaired = applied(now, patches.repaired(now, old))
    assert (repaired.rolled_out, repaired.previous) == (old, old)
    assert patches.defended(InferenceService.parse({})) == []


def test_nothing_to_change_is_no_patch() -> None:
    now = at_rest()
    assert patches.cleaned(now, 2) == []
    assert patches.recorded(now, Wanted(STABLE, "fraud/1", 2)) == []


MADE: dict[str, Callable[[InferenceService], list[Json]]] = {
    "stepped": lambda now: patches.stepped(now, 25, 3),
    "promoted": lambda now: patches.promoted(now, WANTED),
    "aborted": lambda now: patches.aborted(now, 3, removing=False),
    "withdrawn": lambda now: patches.aborted(now, 3, removing=True),
    "cleaned": lambda now: patches.cleaned(now, 3),
    "announced": lambda now: patches.announced(now, Wanted("r@sha256:z", "fraud/8", 8)),
    "turned back": lambda now: patches.turned_back(now, Wanted("r@sha256:z", "fraud/8", 8)),
    "recorded": lambda now: patches.recorded(now, Wanted("r@sha256:z", "fraud/8", 8)),
}
MEANWHILE: dict[str, list[Json]] = {
    "another image": [{"op": "replace", "path": IMAGE, "value": "r@sha256:other"}],
    "another percent": [{"op": "replace", "path": PERCENT, "value": 42}],
    "no percent": [{"op": "remove", "path": PERCENT}],
    "a newer promotion": [{"op": "replace", "path": SEQUENCE, "value": "4"}],
    "no annotations": [{"op": "remove", "path": "/metadata/annotations"}],
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("made", MADE)
def test_a_patch_does_nothing_where_something_else_was_written_meanwhile(
    made: str, meanwhile: str
) -> None:
    before = started()
    operations = MADE[made](before)
    by_then = apply_patch(deepcopy(before.raw), MEANWHILE[meanwhile])
    with pytest.raises(Refused):
        apply_patch(by_then, operations)


def test_a_patch_leaves_what_somebody_else_wrote_beside_it() -> None:
    before = started()
    beside = deepcopy(before.raw)
    beside["spec"]["predictor"]["containers"][0]["workingDir"] = "/elsewhere"
    beside["metadata"]["labels"] = {"team": "risk"}
    after = apply_patch(beside, patches.stepped(before, 25, 3))
    assert after["metadata"]["labels"] == {"team": "risk"}
    assert after["spec"]["predictor"]["containers"][0]["workingDir"] == "/elsewhere"


def test_a_service_without_annotations_gets_its_first_only_where_it_still_has_none() -> None:
    raw = recorded("c5-promoted")["isvc"]
    raw["metadata"].pop("annotations", None)
    now = InferenceService.parse(raw)
    assert {"op": "test", "path": "/metadata/annotations", "value": None} in patches.guards(now)


def test_a_model_that_kserve_serves_has_no_image_to_guard() -> None:
    raw: Json = {"metadata": {"annotations": {}}, "spec": {"predictor": {"model": {}}}}
    tested = [one["path"] for one in patches.guards(InferenceService.parse(raw))]
    assert tested == [PERCENT, SEQUENCE]
