"""What Knative makes of an InferenceService, read from what a real cluster said."""

from pipeline.kserve.inference import InferenceService
from pipeline.kserve.revisions import KnativeService, Revision
from tests.unit.kserve.recorded import recorded, revisions, service


def test_a_revision_that_serves_is_warm() -> None:
    (one,) = revisions("c1-v1-ready")
    assert one.warm(1)
    assert not one.warm(2)
    assert not one.failed
    assert not one.asleep
    assert one.image.startswith("127.0.0.1:5000/model@sha256:")


def test_a_crashing_revision_failed_only_when_knative_says_so() -> None:
    waiting, failed = revisions("crashstart-1-waiting")[1], revisions("crashstart-2-failed")[1]
    assert not waiting.failed
    assert not waiting.warm(1)
    assert failed.failed
    assert failed.ready.reason == "ExitCode3"


def test_an_unready_revision_is_ready_to_knative_and_not_warm() -> None:
    one = revisions("trap4-unready-1-unready-at-30")[1]
    assert one.ready.true
    assert not one.warm(1)


def test_a_revision_without_requests_sleeps() -> None:
    raw = recorded("c1-v1-ready")["revisions"][0]
    raw["status"]["actualReplicas"] = 0
    for condition in raw["status"]["conditions"]:
        if condition["type"] == "Active":
            condition |= {"status": "False", "reason": "NoTraffic"}
    assert Revision.parse(raw).asleep


def test_what_is_no_revision_reads_as_none() -> None:
    assert Revision.parse({}).image == ""
    assert KnativeService.parse({}).image == ""


def test_knative_made_all_that_was_asked_for() -> None:
    ksvc = KnativeService.parse(recorded("c1-v1-ready")["ksvc"])
    assert ksvc.made(service("c1-v1-ready"))


def test_knative_has_not_yet_made_what_kserve_could_not_ask_for() -> None:
    ksvc = KnativeService.parse(recorded("pod-denied-zero-1")["ksvc"])
    assert not ksvc.made(service("pod-denied-zero-1"))


def test_a_revision_that_may_yet_come_is_not_all() -> None:
    raw = recorded("c2-canary-created")
    raw["ksvc"]["metadata"]["generation"] = 99
    assert not KnativeService.parse(raw["ksvc"]).made(InferenceService.parse(raw["isvc"]))
