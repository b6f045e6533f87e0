"""Traps of KServe and Knative: what would happen to users, and the guard that prevents it.

One table for a fake cluster (tests/unit/kserve/test_traps.py) and a real one
(tests/cluster/test_traps.py). A scenario passes as Laurel is, and fails in the way that the table
says once the trap's guards are taken out, or these would guard nothing.

The numbers are those of ``kserve.md`` 0, A to E those of ``testbed.md`` 5; from F on they stand in
that chapter without a letter, or were found with the tests' own cluster.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.adapters import kserve_serving
from pipeline.kserve import (
    deploying,
    inference,
    patches,
    preflight,
    readiness,
    recovery,
    shifting,
    spec,
)
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.patches import Wanted
from pipeline.kserve.recovery import Act
from pipeline.kserve.revisions import Revision
from tests.contract.kserve_stage import Stage
from tests.contract.kserve_trap_scenarios import (
    PERCENT,
    abort_of_what_an_older_laurel_began,
    abort_without_a_revision,
    canary_after_a_bad_one_that_was_only_stopped,
    crash_at_start_is_told_by_the_pods,
    crashing_canary_gives_its_share_back,
    failed_guard_is_found_out,
    flipped_memory_is_repaired,
    hold_makes_no_revision,
    other_mode_is_refused,
    percent_of_100_may_stay,
    percent_of_101_freezes_until_restored,
    percent_on_a_service_at_rest,
    pod_that_a_policy_refuses,
    refused_revision,
    revision_is_known_by_its_image,
    rollback_meets_no_cold_pod,
    stopped_canary_never_serves,
    unready_canary_gets_no_more,
    what_is_left_alone_is_refused,
    what_knative_refuses_ends_at_once,
)


def starting_with(percent: int | None) -> Callable[..., list[Json]]:
    """Start a canary as others do where a percent stands: with one at once, or without any."""
    begun = patches.started

    def started(now: InferenceService, after: Json, wanted: Wanted, *, stable: str) -> list[Json]:
        said = begun(now, after, wanted, stable=stable)
        if now.percent is None:
            return said
        said = [one for one in said if not _gives(one)]
        if percent is None:
            return [*said, {"op": "remove", "path": PERCENT}]
        return [*said, {"op": "add", "path": PERCENT, "value": percent}]

    return started


def _gives(one: Json) -> bool:
    return bool(one["path"] == PERCENT and one["op"] != "test")


@dataclass(frozen=True)
class Trap:
    """What must hold, what is seen once the guards are taken out, and which these are.

    ``felt`` is a pattern of that failure's words: the version that answered users, or what nobody
    said. Each guard is an object, the name of what is replaced there, and what by.
    """

    scenario: Callable[[Stage], None]
    felt: str
    guards: tuple[tuple[Any, str, Any], ...]


def trap(scenario: Callable[[Stage], None], felt: str, *guards: tuple[Any, str, Any]) -> Trap:
    return Trap(scenario, felt, guards)


TRAPS = {
    "1 percent alone is a rollback order": trap(
        percent_on_a_service_at_rest,
        "'v1'",
        (shifting, "is_stable", lambda *_: False),
        (shifting, "keep_memory", lambda *_: False),
    ),
    "2 a percent from the start leaks to the last ready revision": trap(
        canary_after_a_bad_one_that_was_only_stopped,
        "'bad'",
        (patches, "started", starting_with(20)),
    ),
    "3 no percent from the start gives that revision everything": trap(
        canary_after_a_bad_one_that_was_only_stopped,
        "'bad'",
        (patches, "started", starting_with(None)),
    ),
    "4 a crashing canary keeps its share at 0 percent": trap(
        crashing_canary_gives_its_share_back,
        "has 0 %",
        (shifting, "ignores_percent", lambda *_: False),
    ),
    "5 the observed generation is not the one of the spec": trap(
        revision_is_known_by_its_image,
        "is stable's",
        (deploying, "runs", lambda _, revision, __: bool(revision)),
        (deploying, "refusal", lambda *_: ""),
    ),
    "6 stopping wipes what KServe remembers": trap(
        stopped_canary_never_serves,
        "'v3'",
        (recovery, "_stopped", lambda _: Act.DONE),
    ),
    "7 a revision that is refused turns traffic to the version before": trap(
        refused_revision,
        "'v1'",
        (deploying, "defend", lambda *_: None),
    ),
    "7 what KServe remembers wrongly is corrected": trap(
        flipped_memory_is_repaired,
        "00001 is called rolled out",
        (shifting, "keep_memory", lambda *_: False),
    ),
    "8 in another mode than Knative's the percent is ignored": trap(
        other_mode_is_refused,
        "the objection is None",
        (preflight, "_mode", lambda _: ""),
    ),
    "A a pod that a policy refuses makes no revision": trap(
        pod_that_a_policy_refuses,
        "KServe made none",
        (deploying, "refusal", lambda *_: ""),
    ),
    "B aborting what made no revision is a rollback order": trap(
        abort_of_what_an_older_laurel_began,
        "'v1'",
        (recovery, "defenceless", lambda *_: False),
    ),
    "B and so it is with what this Laurel began": trap(
        abort_without_a_revision,
        "'v1'",
        (recovery, "defenceless", lambda *_: False),
        (deploying, "defend", lambda *_: None),
    ),
    "C every condition hides an unready canary that lives": trap(
        unready_canary_gets_no_more,
        "DID NOT RAISE",
        (shifting, "warm", lambda *_: None),
    ),
    "D a percent of 100 promotes, and may stay until the next canary": trap(
        percent_of_100_may_stay,
        "'v3'|set to 100 % by hand",
        (patches, "started", starting_with(100)),
    ),
    "E the pods of what served before are gone after a minute": trap(
        rollback_meets_no_cold_pod,
        "has no pods",
        (Revision, "warm", lambda *_: True),
    ),
    "F a crash at start shows only after the progress deadline": trap(
        crash_at_start_is_told_by_the_pods,
        "KServe said so too: False RevisionFailed|^ExitCode3",
        (readiness, "last_words", lambda *_: None),
    ),
    "G annotations are copied into the template": trap(
        hold_makes_no_revision,
        "[2-9] revisions were made|has all traffic",
        (spec, "shield", lambda _: None),
        (inference, "shielded", lambda _: True),
    ),
    "H what Knative refuses is accepted, and freezes the service": trap(
        what_knative_refuses_ends_at_once,
        "KServe made none",
        (deploying, "refusal", lambda *_: ""),
    ),
    "H a percent of 101 freezes it too": trap(
        percent_of_101_freezes_until_restored,
        "DID NOT RAISE|Traffic targets sum to 101",
        (shifting, "undisturbed", lambda *_: None),
    ),
    "I the guard that failed is not named": trap(
        failed_guard_is_found_out,
        "it is not any more what the change was made for",
        (kserve_serving, "_again", lambda do: do()),
    ),
    "J what is not to be updated ignores every change": trap(
        what_is_left_alone_is_refused,
        "the objection is None",
        (preflight, "LEFT_ALONE", ""),
    ),
}
ELSEWHERE = {
    "9": (
        "tests/cluster/test_metrics_on_the_cluster.py",
        "test_requests_and_errors_are_counted_by_revision_and_none_twice",
    ),
    "K": (
        "tests/cluster/test_no_room.py",
        "test_the_way_back_goes_on_until_there_is_room",
    ),
}
"""Traps whose guard is no function that could be taken out, and the test of each: metrics are the
cluster's setting; a revision that Knative gave up for good needs minutes to be given up."""
