"""Pods for smoke: what is started, what their ends mean, and that nothing of them stays."""

import http.server
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pipeline.adapters.pod_runner import PodRunner
from pipeline.domain.evidence import BuiltImage
from pipeline.domain.plan import EnvVar
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Readiness
from pipeline.errors import ForbiddenError, PermanentError, UnavailableError
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.smoke_pod import HOST, LABELS, PROCESS
from pipeline.local.processes import Process
from pipeline.ports import ModelRunner
from tests.fakes.baked_image import _built
from tests.fakes.pods import FakePods, Json, old_pod, running, status, terminated, waiting

IMAGE: BuiltImage = _built(ImageRef("registry.example.com/ml/fraud", Digest.of(b"image")))
NOBODY = "127.77.0.1"


def runner(pods: FakePods) -> PodRunner:
    return PodRunner(cast("Cluster", pods), {"cpu": "2", "memory": "4Gi"}, patience=9)


class Model(http.server.BaseHTTPRequestHandler):
    ready = 200

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(type(self).ready, b"")

    def do_POST(self) -> None:
        self.answer(200, self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def model(ready: int = 200) -> Iterator[str]:
    """Serve on an address of this test's own, as a pod does."""
    address = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.{ready % 200 + 2}"
    handler = type("Handler", (Model,), {"ready": ready})
    with http.server.ThreadingHTTPServer((address, 8080), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()


def test_a_pod_that_answers_is_ready_and_gone_afterwards() -> None:
    with model() as address:
        pods = FakePods(status({}), waiting("ContainerCreating"), running(address))
        pods.log = "loading\nserving"
        with runner(pods).run(IMAGE, ()) as started:
            assert started.readiness() is Readiness.READY
            assert started.invoke(b'{"inputs": [1]}') == (200, b'{"inputs": [1]}')
            assert started.output() == "loading\nserving"
        assert pods.pods == {}


def test_a_pod_that_says_not_yet_is_starting() -> None:
    with model(503) as address, runner(FakePods(running(address))).run(IMAGE, ()) as started:
        assert started.readiness() is Readiness.STARTING


def test_a_pod_that_does_not_answer_is_starting_until_its_program_has_ended() -> None:
    pods = FakePods(running(NOBODY))
    with runner(pods).run(IMAGE, ()) as started:
        assert started.readiness() is Readiness.STARTING
        (name,) = pods.pods
        pods.become(name, terminated("Error"))
        assert started.readiness() is Readiness.STARTING  # the cluster is asked once a second
        started._looked = 0.0  # type: ignore[attr-defined]  # the fake clock of one class
        assert started.readiness() is Readiness.FAILED
        assert started.invoke(b"")[0] == 503


def test_another_pod_at_the_same_address_does_not_count() -> None:
    with model() as address:
        pods = FakePods(running(address))
        with runner(pods).run(IMAGE, ()) as started:
            (name,) = pods.pods
            pods.become(name, terminated("Error"))
            assert started.readiness() is Readiness.FAILED


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (terminated("Error"), "no such flavor"),
        (terminated("Completed"), "no such flavor"),
        (
            terminated("OOMKilled"),
            "no such flavor\nthe cluster ended it: OOMKilled, its limit is 4Gi .serving.smoke.*",
        ),
        (
            {**terminated("Error"), "reason": "DeadlineExceeded"},
            "no such flavor\nthe cluster ended it: DeadlineExceeded",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "disk full"},
            "no such flavor\nthe cluster ended it: Evicted: disk full",
        ),
    ],
)
def test_a_program_that_ended_has_failed_and_its_last_words_are_told(end: Json, told: str) -> None:
    pods = FakePods(end)
    pods.log = "no such flavor"
    with runner(pods).run(IMAGE, ()) as started:
        assert started.readiness() is Readiness.FAILED
        assert re.fullmatch(told, started.output())


def test_a_pod_that_somebody_removed_has_failed() -> None:
    pods = FakePods(running(NOBODY))
    with runner(pods).run(IMAGE, ()) as started:
        pods.pods.clear()
        assert started.readiness() is Readiness.FAILED
        assert "somebody removed it" in started.output()


def test_output_that_cannot_be_read_is_no_reason_to_begin_again() -> None:
    pods = FakePods(running(NOBODY))
    pods.faults["logs"] = UnavailableError("read", "a log", "the kubelet does not answer")
    with runner(pods).run(IMAGE, ()) as started:
        assert started.output() == "its output cannot be read: the kubelet does not answer"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            waiting("ImagePullBackOff", "Back-off pulling image: 403 Forbidden"),
            "403 Forbidden; .*pull secret",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "keys" not found'),
            '"keys" not found; .*laurel-smoke',
        ),
        (
            terminated("StartError", 'exec: "/opt/nothing": no such file'),
            "/opt/nothing.*laurel-smoke",
        ),
        (waiting("InvalidImageName", "bad"), "InvalidImageName: bad"),
    ],
)
def test_an_image_that_cannot_be_started_is_told_with_the_fix(state: Json, told: str) -> None:
    pods = FakePods(waiting("ErrImagePull", "the first try"), state)
    with pytest.raises(PermanentError, match=told), runner(pods).run(IMAGE, ()):
        pass
    assert pods.pods == {}


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient memory.",
}


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (
            {"phase": "Pending", "conditions": [UNSCHEDULABLE]},
            "not started after 9 s: .*3 Insufficient",
        ),
        ({"phase": "Pending"}, "no word of why"),
        (None, "somebody removed it"),
    ],
)
def test_a_pod_that_does_not_start_in_time_is_tried_again_later(
    last: Json | None, told: str
) -> None:
    pods = FakePods(status({}), last)
    with pytest.raises(UnavailableError, match=told), runner(pods).run(IMAGE, ()):
        pass
    assert pods.pods == {}


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [{"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}],
        [{"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Egress"]}}],
        [{"spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}}],
        [
            {"spec": {"podSelector": {}, "policyTypes": ["Egress"]}},
            {"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "egress": [{}]}},
        ],
    ],
)
def test_where_a_way_out_is_open_nothing_is_started(policies: list[Json]) -> None:
    pods = FakePods(running(NOBODY))
    pods.policies = policies
    with (
        pytest.raises(PermanentError, match="kubectl apply -k k8s/smoke"),
        runner(pods).run(IMAGE, ()),
    ):
        pass
    assert pods.created == []


def test_it_gets_the_image_by_digest_and_no_variable_but_the_service_s() -> None:
    pods = FakePods(running(NOBODY))
    secret = EnvVar("API_KEY", secret_name="keys", secret_key="api")
    with runner(pods).run(IMAGE, (EnvVar("REGION", "eu"), secret)):
        (container,) = pods.created[0]["spec"]["containers"]
    assert container["image"] == str(IMAGE.ref)
    assert container["env"] == [
        {"name": "REGION", "value": "eu"},
        {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "api"}}},
    ]


def test_its_code_has_no_account_no_capability_and_an_end() -> None:
    pods = FakePods(running(NOBODY))
    with runner(pods).run(IMAGE, ()):
        spec: dict[str, Any] = pods.created[0]["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in spec
    assert spec["activeDeadlineSeconds"] == 1800
    assert spec["restartPolicy"] == "Never"
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["resources"]["limits"] == {
        "cpu": "2",
        "memory": "4Gi",
        "ephemeral-storage": "2Gi",
    }
    assert {each["mountPath"] for each in container["volumeMounts"]} == {"/tmp", "/dev/shm"}  # noqa: S108 - in the pod
    assert all("emptyDir" in volume for volume in spec["volumes"])


def owner_of_ours() -> dict[str, str]:
    pods = FakePods(running(NOBODY))
    with runner(pods).run(IMAGE, ()):
        labels = pods.created[0]["metadata"]["labels"]
    return {HOST: labels[HOST], PROCESS: labels[PROCESS]}


def test_what_a_killed_laurel_left_is_removed_and_nothing_else() -> None:
    ours, now = owner_of_ours(), datetime.now(UTC)
    me = Process.this()
    dead = {**ours, PROCESS: f"{me.pid}-{me.start + 1}"}
    elsewhere = {**ours, HOST: "another", PROCESS: "1-1"}
    pods = FakePods(running(NOBODY))
    for name, labels, made in (
        ("ours", ours, now),
        ("killed", dead, now),
        ("nobodys", {**ours, PROCESS: "?"}, now),
        ("elsewhere", elsewhere, now),
        ("old", elsewhere, now - timedelta(hours=2)),
    ):
        pods.pods[name] = old_pod(name, {**LABELS, **labels}, made)
    pods.pods["foreign"] = old_pod("foreign", {"app": "theirs"}, now - timedelta(days=9))
    with runner(pods).run(IMAGE, ()):
        pass
    assert set(pods.pods) == {"ours", "elsewhere", "foreign"}


def test_a_pod_that_was_made_although_the_answer_got_lost_is_removed() -> None:
    pods = FakePods()
    pods.faults["create"] = UnavailableError("create", "a pod", "the connection broke")
    with pytest.raises(UnavailableError, match="broke"), runner(pods).run(IMAGE, ()):
        pass
    assert pods.pods == {}


def test_a_pod_that_cannot_be_removed_now_does_not_undo_its_verdict(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pods = FakePods(running(NOBODY))
    pods.faults["delete"] = UnavailableError("delete", "a pod", "the server is away")
    with runner(pods).run(IMAGE, ()):
        pass
    assert "stays for a while" in caplog.text


def test_a_missing_right_is_told() -> None:
    pods = FakePods(running(NOBODY))
    pods.faults["create"] = ForbiddenError("create", "a pod", "give Laurel's account that right")
    with pytest.raises(ForbiddenError, match="that right"), runner(pods).run(IMAGE, ()):
        pass


def test_it_is_a_model_runner() -> None:
    _: type[ModelRunner] = PodRunner
