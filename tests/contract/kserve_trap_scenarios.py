"""What traps of KServe would do to users: each scenario fails where that would be felt.

Each plays on a fresh service. The table of tests/contract/kserve_traps.py names the guards.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import EnvVar
from pipeline.domain.serving import Hold, Readiness
from pipeline.errors import DriftedError, LaurelError, RejectedError
from pipeline.kserve import patches, spec
from pipeline.kserve.annotations import DIGEST
from pipeline.kserve.patches import Wanted
from pipeline.kserve.resources import INFERENCE_SERVICES
from tests.contract.kserve_promoting import killed
from tests.contract.kserve_stage import ANNOTATION, Manner, Stage

PERCENT = "/spec/predictor/canaryTrafficPercent"
LAST_WORDS = "CRASH_AFTER"
"""What a model says that crashes at its start."""
_FROZEN = "False ReconcileFailed"


def percent_on_a_service_at_rest(at: Stage) -> None:
    _, stable = at.history("v1", "v2")
    with at.answered_by("v2"):
        at.shift(stable, 10)


def canary_after_a_bad_one_that_was_only_stopped(at: Stage) -> None:
    at.history("v1")
    at.canary(at.image_like("bad", Manner(fails=True)), 10, 0)
    slow = at.image_like("v3", Manner(ready_after=4))
    with at.answered_by("v1"):
        try:
            at.wait(at.begin(slow))
        finally:
            at.until(lambda: at.revision(at.now().created).image == str(slow.ref))


def crashing_canary_gives_its_share_back(at: Stage) -> None:
    at.history("v1", "v2")
    canary = at.canary(at.image("v3"), 30)

    def away() -> bool:
        at.crash(canary)
        said = at.says("PredictorRouteReady") == "False RevisionMissing"
        return said and at.back_off(canary) >= 2  # it is away for 20 seconds now

    at.until(away)
    at.shift(canary, 0)
    with at.answered_by("v2"):
        pass


def revision_is_known_by_its_image(at: Stage) -> None:
    (stable,) = at.history("v1")
    with at.no_revisions(), suppress(LaurelError):
        found = at.begin(at.image("v2"))
        assert found != stable, f"{found} is stable's"


def stopped_canary_never_serves(at: Stage) -> None:
    at.history("v1", "v2")
    at.canary(at.image("v3"))
    at.annotate("stop", "true")
    at.until(lambda: not (at.now().created or at.now().traffic))
    at.restore()
    at.edit({"op": "remove", "path": f"{ANNOTATION}stop"})
    at.until(lambda: at.says("Ready") == "True")
    with at.answered_by("v2"):
        pass


def refused_revision(at: Stage) -> None:
    at.history("v1", "v2")
    with at.answered_by("v2"):
        with at.no_revisions():
            with pytest.raises(RejectedError, match="exceeded quota"):
                at.deploy(at.image("v3"))
            with at.answered_by("v2"):
                pass  # as long as it may last until somebody restores it
        at.restore()
    at.clean()


def flipped_memory_is_repaired(at: Stage) -> None:
    """Whoever has written the memory: a person, or a Laurel that was older."""
    first, stable = at.history("v1", "v2")
    canary = at.canary(at.image("v3"))
    at.edit(*patches.repaired(at.now(), first), subresource="status")
    at.until(lambda: at.now().shares().get(first))
    at.shift(canary, 10)
    rolled_out = at.now().rolled_out
    assert rolled_out == stable, f"{rolled_out} is called rolled out"
    with at.answered_by("v2", "v3"):
        pass


def other_mode_is_refused(at: Stage) -> None:
    manifest = spec.created(at.plan, at.image("v1"), at.cluster.namespace)
    manifest["metadata"]["annotations"] |= {
        spec.MODE: "Standard",
        DIGEST: str(at.image("v1").ref),
    }
    at.cluster.create(INFERENCE_SERVICES, manifest)
    at.until(lambda: at.now().mode == "Standard")
    objected(at, "a canary's percent is silently ignored")


def pod_that_a_policy_refuses(at: Stage) -> None:
    at.history("v1", "v2")
    refused = at.image("v3")
    told = pytest.raises(RejectedError, match="image is not signed")
    with at.answered_by("v2"), at.no_pods_of(refused), told:
        at.deploy(refused)


def abort_without_a_revision(at: Stage) -> None:
    """Cut it short, so that what its first patch asks for stays."""
    at.history("v1", "v2")
    refused = at.image("v3")
    with at.answered_by("v2"), at.no_pods_of(refused):
        with suppress(LaurelError):
            at.deploy(refused)
        cut_short(at)
    at.restore()
    at.clean()


def abort_of_what_an_older_laurel_began(at: Stage) -> None:
    """Nobody defended what KServe remembers before this canary."""
    at.history("v1", "v2")
    refused = at.image("v3")
    with at.answered_by("v2"), at.no_pods_of(refused):
        at.sequence += 1
        now = at.now()
        after = spec.changed(now.raw, at.plan, refused)
        at.edit(*patches.started(now, after, wanted(at, refused), stable=""))
        at.until(lambda: at.says("PredictorReady") == _FROZEN)
        cut_short(at)
    at.restore()
    at.clean()


def cut_short(at: Stage) -> None:
    """Kill Laurel after the first patch of its way back; KServe carries that out."""
    with killed(at.cluster, after=1):
        at.restore()
    at.until(lambda: at.says("PredictorReady") == "True")


def wanted(at: Stage, image: VerifiedImage) -> Wanted:
    return Wanted(str(image.ref), str(image.model), at.sequence)


def unready_canary_gets_no_more(at: Stage) -> None:
    at.history("v1", "v2")
    canary = at.canary(at.image("v3"), 10)
    at.unready(canary)
    at.until(lambda: at.revision(canary).replicas == 0)
    assert at.says("Ready") == "True"
    assert at.says("PredictorReady") == "True"
    try:
        with pytest.raises(RejectedError, match="its pods were not ready"):
            at.shift(canary, 50)
        assert at.now().percent == 10
    finally:
        at.restore()


def percent_of_100_may_stay(at: Stage) -> None:
    """Whoever wrote it: it promotes as its removal does, and the next canary starts at 0 %."""
    at.history("v1", "v2")
    at.edit({"op": "add", "path": PERCENT, "value": 100})
    with at.answered_by("v2"):
        at.canary(at.image("v3"))


def rollback_meets_no_cold_pod(at: Stage) -> None:
    at.history("v1")
    window = "/metadata/annotations/autoscaling.knative.dev~1window"
    at.edit({"op": "add", "path": window, "value": "6s"})  # the shortest; it makes a new revision
    at.until(lambda: at.now().settled and at.now().previous)
    first = at.now().rolled_out
    at.promote(at.image("v2"))
    at.until(lambda: at.revision(first).replicas == 0)
    back = at.begin(at.image("v1"), at_once=True)
    assert back != first, f"{back} has no pods"


def crash_at_start_is_told_by_the_pods(at: Stage) -> None:
    at.history("v1")
    revision = at.begin(at.image_like("v2", Manner(crashes_at_start=True)))
    told, why = at.judged(revision)
    says = at.says("Ready")
    at.restore()
    assert (told, says) == (Readiness.FAILED, "Unknown"), f"KServe said so too: {says}"
    assert "exit code 3" in why, why
    assert LAST_WORDS in why, why


def hold_makes_no_revision(at: Stage) -> None:
    at.history("v1")
    before = number(at)
    at.target.hold(at.name, Hold("ada", "audit", datetime.now(UTC), 3))
    at.promote(at.image("v2"))
    assert number(at) == before + 1, f"{number(at) - before} revisions were made"
    assert at.target.observe(at.name).hold is not None


def number(at: Stage) -> int:
    """Count the revisions that were ever made."""
    return int(at.now().created.rpartition("-")[2])


def what_knative_refuses_ends_at_once(at: Stage) -> None:
    at.history("v1")
    at.sequence += 1
    reserved = replace(at.plan, env=(EnvVar("PORT", "1"),))
    with at.answered_by("v1"):
        with pytest.raises(RejectedError, match="PORT"):
            at.target.deploy(reserved, at.image("v2"), at.sequence)
        assert at.says("PredictorReady") == _FROZEN
        at.restore()
        at.until(lambda: at.says("PredictorReady") == "True")
    at.clean()


def percent_of_101_freezes_until_restored(at: Stage) -> None:
    at.history("v1")
    canary = at.canary(at.image("v2"), 10)
    at.edit({"op": "replace", "path": PERCENT, "value": 101})
    at.until(lambda: at.says("PredictorReady") == _FROZEN)
    with pytest.raises(DriftedError, match="101 % by hand"):
        at.shift(canary, 50)
    at.restore()
    at.until(lambda: at.says("PredictorReady") == "True")
    at.clean()
    with at.answered_by("v1"):
        pass


def failed_guard_is_found_out(at: Stage) -> None:
    at.history("v1")
    canary = at.canary(at.image("v2"), 10)
    by_hand = {"op": "replace", "path": PERCENT, "value": 90}
    with at.overtaken(by_hand), pytest.raises(DriftedError, match="set to 90 % by hand"):
        at.shift(canary, 50)


def what_is_left_alone_is_refused(at: Stage) -> None:
    at.history("v1")
    at.annotate("disable-auto-update", "true")
    objected(at, "no change would be carried out")


def objected(at: Stage, words: str) -> None:
    """See that a promotion is refused before anything changes."""
    said = at.target.objection(at.plan)
    assert words in (said or ""), f"the objection is {said}"
