"""The door to Kubernetes: what it promises, and every way in which a server can say no."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    RejectedError,
    StepError,
    UnavailableError,
)
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.resources import EVENTS, INFERENCE_SERVICES, PODS
from tests.contract.door_scenarios import SCENARIOS, percent, service
from tests.fakes.kserve_webhook import Webhook
from tests.fakes.kubernetes_api import TOKEN, ApiServer
from tests.fakes.kubernetes_status import (
    EVENT,
    ISVC,
    POD,
    Refused,
    bad_request,
    denied_by_policy,
    denied_by_webhook,
    over_quota,
    status,
    too_many_requests,
    webhook_away,
)
from tests.fakes.kubernetes_store import Store
from tests.servers.scripted import scripted_server


@pytest.fixture
def api() -> Iterator[ApiServer]:
    store = Store()
    store.prepare = Webhook().prepare
    server = ApiServer(store)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cluster(api: ApiServer, tmp_path: Path) -> Cluster:
    return connect(kubeconfig=api.kubeconfig(tmp_path), context=None, namespace="ml")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_door_leads_to_the_fake(scenario: Callable[[Cluster], None], cluster: Cluster) -> None:
    scenario(cluster)


ANSWERS: list[tuple[Refused, type[StepError], str]] = [
    (denied_by_policy(ISVC, "fraud", "signed", "image is not signed"), RejectedError, "not signed"),
    (denied_by_webhook("validate.example.com", "too large"), RejectedError, "too large"),
    (denied_by_webhook("validate.example.com", "bad json", 400), RejectedError, "bad json"),
    (denied_by_webhook("validate.example.com", "no owner", 422), RejectedError, "no owner"),
    (over_quota(POD, "p", "gpus", "requested: pods=1, used: pods=8"), RejectedError, "quota: gpus"),
    (
        Refused(status(403, "Forbidden", 'pods "p" is forbidden: violates PodSecurity "x"')),
        RejectedError,
        "PodSecurity",
    ),
    (
        Refused(status(403, "Forbidden", 'pods "p" is forbidden: maximum cpu per Pod is 1')),
        RejectedError,
        "maximum cpu",
    ),
    (
        Refused(status(403, "Forbidden", 'x "f" is forbidden: not yet ready to handle request')),
        UnavailableError,
        "just started",
    ),
    (too_many_requests(3), RateLimitedError, "fewer requests"),
    (webhook_away("inferenceservice.kserve-webhook-server.defaulter"), UnavailableError, "webhook"),
    (Refused(status(503, "ServiceUnavailable", "shutting down"), 7), UnavailableError, "503"),
    (Refused(status(504, "Timeout", "etcd")), UnavailableError, "504"),
    (Refused(status(410, "Expired", "too old resource version")), ConflictError, "too old"),
    (Refused(status(401, "Unauthorized", "Unauthorized")), ForbiddenError, "renew the login"),
    (bad_request("field label not supported: spec.x"), PermanentError, "field label"),
    (Refused(status(413, "RequestEntityTooLarge", "too large")), PermanentError, "413"),
    (Refused(status(302, "Found", "elsewhere")), PermanentError, "302"),
]


@pytest.mark.parametrize(
    ("answer", "error", "words"), ANSWERS, ids=[f"{a.code} {e.__name__} {w}" for a, e, w in ANSWERS]
)
def test_a_refusal_is_an_error_of_the_pipeline(
    api: ApiServer, cluster: Cluster, answer: Refused, error: type[StepError], words: str
) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    api.refusals = [answer, answer]  # a login that is not accepted is read anew once
    with pytest.raises(error, match=words) as refused:
        cluster.patch(INFERENCE_SERVICES, "fraud", percent(10))
    assert type(refused.value) is error
    assert refused.value.subject == "inferenceservices ml/fraud"
    if isinstance(refused.value, RateLimitedError | UnavailableError):
        assert refused.value.retry_after == answer.retry_after
    assert TOKEN not in f"{refused.value} {refused.value!r}"


def test_a_right_that_is_missing_is_named(api: ApiServer, cluster: Cluster) -> None:
    api.rights = {("get", "inferenceservices")}
    assert cluster.may("get", INFERENCE_SERVICES)
    assert not cluster.may("patch", INFERENCE_SERVICES, subresource="status")
    assert cluster.get(INFERENCE_SERVICES, "fraud") is None
    with pytest.raises(ForbiddenError, match=r'cannot patch resource "inferenceservices/status"'):
        cluster.patch(INFERENCE_SERVICES, "fraud", [], subresource="status")
    api.rights.add(("list", "inferenceservices"))
    with pytest.raises(ForbiddenError, match="cannot watch"):
        list(cluster.watch(INFERENCE_SERVICES, "fraud", seconds=10))
    with pytest.raises(ForbiddenError, match="cannot get"):
        cluster.exists()


def test_kinds_without_their_definition_are_not_served(api: ApiServer, cluster: Cluster) -> None:
    api.missing = {"inferenceservices.serving.kserve.io"}
    assert not cluster.serves(INFERENCE_SERVICES)
    with pytest.raises(NotFoundError, match="whether KServe is installed"):
        cluster.get(INFERENCE_SERVICES, "fraud")
    with pytest.raises(NotFoundError):
        list(cluster.watch(INFERENCE_SERVICES, "fraud", seconds=10))


def test_a_namespace_that_is_not_there_is_told(api: ApiServer, tmp_path: Path) -> None:
    elsewhere = connect(kubeconfig=api.kubeconfig(tmp_path), context=None, namespace="gone")
    assert not elsewhere.exists()
    with pytest.raises(NotFoundError, match="gone"):
        elsewhere.create(INFERENCE_SERVICES, service("fraud"))


@pytest.mark.parametrize("name", ["..", "../../nodes", "Fraud", "a/b", "a%2fb", "x" * 300])
def test_a_name_that_no_object_can_have_is_not_even_asked_for(cluster: Cluster, name: str) -> None:
    with pytest.raises(NotFoundError, match="no object can have that name"):
        cluster.get(INFERENCE_SERVICES, name)
    assert not cluster.calls


def test_a_namespace_that_cannot_be_one_does_not_exist(api: ApiServer, tmp_path: Path) -> None:
    nowhere = connect(kubeconfig=api.kubeconfig(tmp_path), context=None, namespace="../kube")
    assert not nowhere.exists()
    with pytest.raises(NotFoundError):
        nowhere.list(PODS)


def test_a_field_selector_that_a_kind_has_not_is_refused(cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    with pytest.raises(PermanentError, match="field label not supported"):
        cluster.list(INFERENCE_SERVICES, fields="spec.replicas=1")


def test_events_are_chosen_by_what_they_are_about(api: ApiServer, cluster: Cluster) -> None:
    for name in ("one", "two"):
        api.store.create(
            EVENT,
            {
                "metadata": {"name": name, "namespace": "ml"},
                "involvedObject": {"name": f"pod-{name}"},
                "reason": "Failed",
            },
        )
    (found,) = cluster.list(EVENTS, fields="involvedObject.name=pod-two")
    assert found["metadata"]["name"] == "two"


def test_logs_are_the_last_lines_of_a_container(api: ApiServer, cluster: Cluster) -> None:
    written = {False: "up\n", True: "first\nlast words é\n" + "x" * 70_000}
    api.logs = lambda _pod, container, previous: written[previous] if container == "model" else ""
    api.store.create(POD, {"metadata": {"name": "p", "namespace": "ml"}, "spec": {}})
    assert cluster.logs("p", "model", lines=5) == "up\n"
    assert cluster.logs("p", "queue-proxy", lines=5) == ""
    longest = cluster.logs("p", "model", lines=5, previous=True)
    assert (len(longest), longest[-1]) == (1 << 16, "x")
    written[True] = "first\nlast words é\n"
    assert cluster.logs("p", "model", lines=1, previous=True) == "last words é\n"
    api.refusals = [bad_request("container is waiting to start")]
    assert cluster.logs("p", "model", lines=5) == ""
    api.refusals = [webhook_away("x")]
    with pytest.raises(UnavailableError):
        cluster.logs("p", "model", lines=5)


def test_a_server_that_is_away_is_unavailable(api: ApiServer, cluster: Cluster) -> None:
    with api.away(), pytest.raises(UnavailableError, match="does not answer"):
        cluster.get(INFERENCE_SERVICES, "fraud")
    assert cluster.get(INFERENCE_SERVICES, "fraud") is None


@pytest.mark.parametrize(
    "body", [b"<html>sign in</html>", b"[" * 100_000, b"\xff", b'{"items": 1}', b"[]"]
)
def test_what_is_no_api_server_is_unavailable(tmp_path: Path, body: bytes) -> None:
    with scripted_server() as script:
        script.says(200, body)
        there = _kubeconfig(tmp_path, script.url, {"token": "t"})
        cluster = connect(kubeconfig=there, context=None, namespace="ml")
        with pytest.raises(UnavailableError, match="is it an API server"):
            cluster.list(PODS)


def test_an_api_server_whose_answer_breaks_off_is_unavailable(tmp_path: Path) -> None:
    with scripted_server() as script:
        script.says(200, b"{}")
        script.length = 100
        cluster = connect(
            kubeconfig=_kubeconfig(tmp_path, script.url, {}), context=None, namespace="ml"
        )
        with pytest.raises(UnavailableError):
            cluster.get(PODS, "p")


def _kubeconfig(folder: Path, server: str, user: dict[str, object], **more: object) -> Path:
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": server, **more}}],
        "users": [{"name": "me", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(made))
    return path


def test_an_answer_without_an_end_is_given_up(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    monkeypatch.setattr("pipeline.kserve.api_server._WHOLE", -1.0)
    with pytest.raises(UnavailableError, match="a whole minute for one answer"):
        cluster.get(INFERENCE_SERVICES, "fraud")
    monkeypatch.undo()
    monkeypatch.setattr("pipeline.kserve.api_server._LARGEST", 10)
    with pytest.raises(PermanentError, match="answers with more than"):
        cluster.get(INFERENCE_SERVICES, "fraud")
    monkeypatch.undo()
    assert cluster.get(INFERENCE_SERVICES, "fraud") is not None
    assert api.count("get", "inferenceservices") == 3


def test_a_deletion_without_the_right_to_it_is_forbidden(api: ApiServer, cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    api.rights = set()
    with pytest.raises(ForbiddenError, match="cannot delete"):
        cluster.delete(INFERENCE_SERVICES, "fraud")
