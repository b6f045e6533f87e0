"""What pods say of themselves, and what of it is final."""

from typing import Any

import pytest

from pipeline.kserve.pods import Words, one_line, ready, words
from tests.unit.kserve.recorded import recorded

Json = dict[str, Any]


def pod(*containers: Json, phase: str = "Running", **status: Any) -> Json:  # noqa: ANN401 - as JSON
    return {
        "metadata": {"name": "one"},
        "status": {"phase": phase, "containerStatuses": list(containers), **status},
    }


def container(**said: Any) -> Json:  # noqa: ANN401 - as JSON
    return {"name": "kserve-container", "restartCount": 0, **said}


def ended(code: int = 3, **said: str) -> Json:
    return {"exitCode": code, "reason": "Error", **said}


def failed(said: Words | None) -> bool:
    assert said is not None
    return said.failed


def test_pods_that_serve_say_nothing() -> None:
    pods = recorded("c4-canary-10")["pods"]
    assert words(pods) is None
    assert all(ready(one) for one in pods)
    assert words([]) is None


def test_a_crash_at_start_is_told_seconds_later_with_its_last_words() -> None:
    said = words(recorded("crashstart-1-waiting")["pods"])
    assert said is not None
    assert said.failed
    assert said.text.startswith("its container ended with exit code 3, 2 times; its last words: ")
    assert said.text.endswith("CRASH_AFTER")


def test_a_missing_image_is_told_with_the_registrys_words() -> None:
    said = words(recorded("missing-image-1-early")["pods"])
    assert said is not None
    assert said.failed
    assert said.text.startswith("its image cannot be pulled (ImagePullBackOff): ")
    assert said.text.endswith("not found")


def test_a_running_container_that_is_not_ready_says_nothing() -> None:
    """Trap C: only that it is not ready tells."""
    pods = recorded("trap4-unready-1-unready-at-30")["pods"]
    assert words(pods) is None
    assert sorted(ready(one) for one in pods) == [False, True]


def test_one_restart_is_no_failure_yet() -> None:
    once = container(state={"running": {}}, lastState={"terminated": ended()}, restartCount=1)
    twice = container(state={"running": {}}, lastState={"terminated": ended()}, restartCount=2)
    assert not failed(words([pod(once)]))
    assert failed(words([pod(twice)]))


def test_a_first_end_is_told_and_waited_for() -> None:
    said = words([pod(container(state={"terminated": ended(1)}))])
    assert said == Words(
        failed=False,
        text="its container ended with exit code 1",
        silent=("one", "kserve-container"),
    )


def test_memory_is_named() -> None:
    killed = ended(137) | {"reason": "OOMKilled"}
    said = words(
        [
            pod(
                container(
                    state={"waiting": {"reason": "CrashLoopBackOff"}},
                    lastState={"terminated": killed},
                    restartCount=1,
                )
            )
        ]
    )
    assert said is not None
    assert said.failed
    assert "used more memory than its limit (OOMKilled), 2 times" in said.text


def test_another_container_is_named() -> None:
    proxy = {"name": "queue-proxy", "state": {"terminated": ended()}, "restartCount": 4}
    said = words([pod(container(state={"running": {}}), proxy)])
    assert said is not None
    assert said.text.startswith("its container queue-proxy ended with exit code 3, 5 times")


@pytest.mark.parametrize(
    ("message", "final"),
    [
        ("manifest unknown", True),
        ("401 Unauthorized", True),
        ("no match for platform in manifest", True),
        ("dial tcp: i/o timeout", False),
        ("503 Service Unavailable", False),
    ],
)
def test_a_registry_that_is_away_is_waited_for(message: str, *, final: bool) -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": message}}
    assert failed(words([pod(container(state=waiting))])) is final


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "RunContainerError"])
def test_a_container_that_cannot_be_made_is_final(reason: str) -> None:
    waiting = {"waiting": {"reason": reason, "message": 'secret "db" not found'}}
    said = words([pod(container(state=waiting))])
    assert said == Words(
        failed=True, text=f'its container cannot start ({reason}): secret "db" not found'
    )


def test_a_pod_that_fits_nowhere_is_named() -> None:
    nowhere = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes: Insufficient cpu",
    }
    said = words([pod(phase="Pending", conditions=[nowhere])])
    assert said == Words(
        failed=True,
        text="no node can take its pod: 0/1 nodes: Insufficient cpu",
        unscheduled="one",
    )


def test_a_pod_that_waits_for_a_gate_is_waited_for() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    assert not failed(words([pod(phase="Pending", conditions=[gated])]))


def test_an_evicted_pod_says_why() -> None:
    said = words([pod(phase="Failed", message="The node was low on resource: memory.")])
    assert said == Words(
        failed=True, text="its pod was ended: The node was low on resource: memory."
    )


def test_a_pod_on_its_way_out_says_nothing() -> None:
    leaving = pod(container(state={"terminated": ended()}))
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    assert words([leaving]) is None
    assert not ready(leaving)


def test_the_worst_of_several_is_told() -> None:
    mild = pod(container(state={"terminated": ended()}))
    bad = pod(container(state={"waiting": {"reason": "InvalidImageName", "message": "x"}}))
    assert failed(words([mild, bad]))


def test_others_words_are_one_printable_bounded_line() -> None:
    assert one_line("a\n\x1b[31mb\t c") == "a [31mb c"
    long = one_line("x" * 9000 + " the end")
    assert len(long) <= 301
    assert long.endswith("the end")
