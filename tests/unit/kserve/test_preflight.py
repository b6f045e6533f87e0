"""What would stop a promotion is found before anything changes, with its fix."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UnavailableError
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.json_patch import Json
from pipeline.kserve.preflight import advice, objection
from pipeline.kserve.resources import INFERENCE_SERVICES
from pipeline.kserve.rights import RIGHTS, SMOKE_RIGHTS, Right
from pipeline.kserve.spec import created
from tests.fakes.kserve_controllers import FakeCluster
from tests.unit.kserve.plans import foreign, image, plan

SERVICES = {(right.verb, right.resource) for right in RIGHTS}
ONLY_SMOKE = [one for one in SMOKE_RIGHTS if (one.verb, one.resource) not in SERVICES]
ALL = {(right.verb, right.resource) for right in (*RIGHTS, *SMOKE_RIGHTS)}
ALL |= {("create", "selfsubjectaccessreviews")}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeCluster]:
    with FakeCluster(tmp_path, by_itself=False) as cluster:
        cluster.api.rights = set(ALL)
        yield cluster


def smoke(fake: FakeCluster) -> Cluster:
    return connect(kubeconfig=fake.kubeconfig, context=None, namespace="default")


def said(fake: FakeCluster, *, adopt: bool = False) -> str:
    return objection(fake.connect(), plan(adopt=adopt), smoke(fake)) or ""


def put(fake: FakeCluster, isvc: Json) -> None:
    fake.api.rights = None
    fake.connect().create(INFERENCE_SERVICES, isvc)
    fake.settle()


def ours(**annotations: str) -> Json:
    isvc = created(plan(), image(), "ml")
    isvc["metadata"]["annotations"] |= {"laurel.dev/digest": str(image().ref)} | annotations
    return isvc


def test_nothing_is_said_where_nothing_is_in_the_way(fake: FakeCluster) -> None:
    assert said(fake) == ""
    put(fake, ours())
    assert said(fake) == ""


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: f"{right.verb} {right.resource}")
def test_each_right_that_is_missing_is_named_with_the_command_that_shows_it(
    fake: FakeCluster, right: Right
) -> None:
    fake.api.rights = ALL - {(right.verb, right.resource)}
    told = said(fake)
    assert f"in the namespace ml, may not {right.verb} {right.resource} {right.why}" in told
    assert right.kubectl("ml") in told
    assert told.endswith(": kubectl apply -k k8s/services")


@pytest.mark.parametrize("right", ONLY_SMOKE, ids=lambda right: f"{right.verb} {right.resource}")
def test_rights_in_the_namespace_for_trying_images_are_asked_for_too(
    fake: FakeCluster, right: Right
) -> None:
    fake.api.rights = ALL - {(right.verb, right.resource)}
    told = said(fake)
    assert f"in the namespace default, may not {right.verb} {right.resource}" in told
    assert told.endswith(": kubectl apply -k k8s/smoke")
    assert objection(fake.connect(), plan()) is None


def test_all_missing_rights_are_told_at_once(fake: FakeCluster) -> None:
    fake.api.rights = {("create", "selfsubjectaccessreviews")}
    told = said(fake)
    assert all(right.kubectl("ml") in told for right in RIGHTS)


def test_the_command_names_group_and_subresource() -> None:
    status = next(right for right in RIGHTS if right.subresource == "status")
    assert status.kubectl("ml") == (
        "kubectl auth can-i patch inferenceservices.serving.kserve.io --subresource=status -n ml"
    )
    log = next(right for right in RIGHTS if right.subresource == "log")
    assert log.kubectl("ml") == "kubectl auth can-i get pods --subresource=log -n ml"


@pytest.mark.parametrize(
    ("plural", "product"),
    [
        ("inferenceservices.serving.kserve.io", "KServe"),
        ("revisions.serving.knative.dev", "Knative Serving"),
    ],
)
def test_a_cluster_without_the_kinds_says_what_to_install(
    fake: FakeCluster, plural: str, product: str
) -> None:
    fake.api.missing = {plural}
    assert said(fake).startswith(f"the cluster knows no {plural}: install {product}")


def test_a_namespace_that_is_not_there_is_told_from_an_empty_one(fake: FakeCluster) -> None:
    fake.api.namespaces -= {"ml"}
    assert said(fake).startswith("the namespace ml is not there: kubectl create namespace ml")


@pytest.mark.parametrize("mode", ["Standard", "RawDeployment", "ModelMesh"])
def test_a_service_in_another_mode_than_knative_is_refused(fake: FakeCluster, mode: str) -> None:
    put(fake, ours(**{"serving.kserve.io/deploymentMode": mode}))
    told = said(fake)
    assert "it runs in KServe's mode" in told
    assert "silently ignored" in told
    assert "create it anew with the annotation serving.kserve.io/deploymentMode: Knative" in told


@pytest.mark.parametrize("mode", ["Knative", "Serverless"])
def test_both_names_of_knatives_mode_are_known(fake: FakeCluster, mode: str) -> None:
    put(fake, ours(**{"serving.kserve.io/deploymentMode": mode}))
    assert said(fake) == ""


def test_a_stopped_service_is_refused_with_the_command_that_starts_the_pods(
    fake: FakeCluster,
) -> None:
    put(fake, ours(**{"serving.kserve.io/stop": "true"}))
    assert said(fake) == (
        "it is stopped: kubectl annotate inferenceservice fraud -n ml serving.kserve.io/stop-"
    )


def test_a_service_that_kserve_is_to_leave_alone_is_refused_with_the_command_that_ends_that(
    fake: FakeCluster,
) -> None:
    put(fake, ours(**{"serving.kserve.io/disable-auto-update": "true"}))
    assert said(fake) == (
        "KServe is asked to leave it as it is, so that no change would be carried out: kubectl "
        "annotate inferenceservice fraud -n ml serving.kserve.io/disable-auto-update-"
    )


@pytest.mark.parametrize("word", ["false", "True", ""])
def test_kserve_knows_one_word_only_for_leaving_a_service_alone(
    fake: FakeCluster, word: str
) -> None:
    put(fake, ours(**{"serving.kserve.io/disable-auto-update": word}))
    assert said(fake) == ""


def test_a_service_that_is_going_away_is_waited_for(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = ours()
    going["metadata"]["deletionTimestamp"] = "2026-11-21T15:00:00Z"
    monkeypatch.setattr(Cluster, "get", lambda *_: going)
    assert said(fake) == "it is being deleted: wait until it is gone"


def test_a_service_of_somebody_elses_is_refused_and_the_change_shown(fake: FakeCluster) -> None:
    put(fake, foreign())
    reason, _, diff = said(fake).partition("\n")
    assert "which Laurel did not put there: look at the change, then set adopt: true" in reason
    assert diff.startswith("--- as it is\n+++ as Laurel's\n@@")


def test_with_leave_it_is_taken_unless_it_cannot_be_kept(fake: FakeCluster) -> None:
    put(fake, foreign())
    assert said(fake, adopt=True) == ""


def test_what_cannot_be_kept_is_refused_even_with_leave(fake: FakeCluster) -> None:
    isvc = foreign()
    isvc["spec"]["predictor"]["containers"][0]["image"] = "registry.test/fraud:1"
    put(fake, isvc)
    assert "is no image by digest" in said(fake, adopt=True)


def test_nothing_is_remembered_because_rights_change(fake: FakeCluster) -> None:
    cluster = fake.connect()
    assert objection(cluster, plan()) is None
    before = cluster.calls.total()
    fake.api.rights = ALL - {("patch", "inferenceservices/status")}
    assert "may not patch inferenceservices/status" in (objection(cluster, plan()) or "")
    assert before == len(RIGHTS) + 4  # two kinds, the namespace, the service


def test_a_cluster_that_is_away_is_no_objection_but_away(fake: FakeCluster) -> None:
    cluster = fake.connect()
    fake.api.stop()
    try:
        with pytest.raises(UnavailableError):
            objection(cluster, plan())
    finally:
        fake.api.start()


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ("must not set the field(s): spec.template.spec.nodeSelector", "podspec-nodeselector"),
        ("EmptyDir volume support is disabled, but found EmptyDir volume", "podspec-volumes-empty"),
        ("expected 0 <= 700 <= 600: spec.template.spec.timeoutSeconds", "serving.max_timeout"),
        ("max-scale=0 (unlimited), must be less than 10", "replicas.max"),
        ('pods "x" is forbidden: violates PodSecurity "restricted"', "pod security level"),
    ],
)
def test_a_refusal_of_knatives_that_is_known_has_its_fix(message: str, fix: str) -> None:
    assert fix in advice(message)


def test_two_refusals_at_once_have_two_fixes() -> None:
    both = advice("spec.timeoutSeconds\nmust not set the field(s): spec.nodeSelector")
    assert "timeout is longer" in both
    assert "node_selector needs" in both


def test_a_refusal_that_nobody_knows_has_none() -> None:
    assert advice("image is not signed") == ""
