"""The tools of these tests do what they say: obstacles, rights, traffic that counts."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.obstacles import denied, hangs, quota, stopped
from tests.cluster.people import Person
from tests.cluster.services import Services, inference_service
from tests.cluster.stack.api import Api
from tests.cluster.stack.images import Images, PushError
from tests.cluster.stack.parts import Parts
from tests.cluster.stack.place import Place
from tests.cluster.traffic import Target, burst, steady
from tests.servers.waiting import until

PODS = ("", "v1", "pods")
_WITHOUT_ITS_FIRST = """
import ctypes, pathlib, sys, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
pathlib.Path(sys.argv[1]).touch()
ctypes.CDLL(None).pthread_exit(None)
"""
"""A program whose first thread ends, as when a large one is killed, and another goes on."""


@pytest.fixture
def server() -> Iterator[Target]:
    """Serve one version well, but for every fifth request."""
    count = iter(range(1, 10**6))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            number = next(count)
            if number % 10 == 0:  # hangs up without a word
                self.close_connection = True
                return
            self.send_response(500 if number % 5 == 0 else 200)
            self.send_header("X-Model-Version", "v1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield Target(f"http://127.0.0.1:{served.server_port}", "fraud.test", "/infer")
        served.shutdown()
        thread.join()


def test_traffic_counts_answers_by_status_and_version_and_silence_as_none(server: Target) -> None:
    seen = burst(server, 100, connections=1)
    assert seen.counts() == {(200, "v1"): 80, (500, "v1"): 10, (0, None): 10}
    assert len(seen.failed()) == 20


def test_steady_traffic_goes_on_after_answers_that_fail(server: Target) -> None:
    with steady(server, rate=200, connections=2) as seen:
        begin = seen.wait(50)
        assert sum(seen.counts(begin).values()) >= 50
    assert {status for status, _ in seen.counts()} == {0, 200, 500}


def test_an_image_that_a_registry_does_not_take_is_an_error(server: Target, tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"")
    registry = server.gateway.removeprefix("http://")
    with pytest.raises(PushError, match="HEAD"):
        Images(registry).push("model:v1", str(tmp_path / "program"), "/program")


def test_no_two_places_share_a_name_or_an_address() -> None:
    first, second = Place(0), Place(1)
    for said in ("folder", "link", "cgroup", "outside", "host", "registry", "gateway", "api"):
        assert getattr(first, said) != getattr(second, said)


@pytest.mark.cluster
def test_a_kind_that_is_denied_in_a_namespace_is_denied_there_and_until_the_end(
    api: Api, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
    container = {"name": "idle", "image": "nowhere/pause"}
    pod = {"metadata": {"name": "idle"}, "spec": {"containers": [container]}}
    elsewhere = path.replace(namespace, "default")
    with denied(api, f"no-pods-{namespace}", PODS, "not signed", namespace=namespace):
        status, said = api.call("POST", path, pod)
        assert status == 422
        assert "not signed" in said["message"]
        assert api.call("POST", elsewhere, pod)[0] == 201
    assert api.call("POST", path, pod)[0] == 201


@pytest.mark.cluster
def test_a_quota_refuses_what_is_above_it(api: Api, namespace: str) -> None:
    quota(api, namespace, **{"count/configmaps": "1"})
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    refused = [api.call("POST", path, {"metadata": {"name": f"n{n}"}})[0] for n in range(3)]
    assert refused[-1] == 403


@pytest.mark.cluster
def test_someone_may_do_what_the_rules_say_and_nothing_else(
    namespace: str, services: Services, someone: Callable[..., Person]
) -> None:
    kserve = {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"]}
    reader = someone("reader", [{**kserve, "verbs": ["get", "list"]}])
    path = services.path()
    assert reader.api.call("GET", path)[0] == 200
    assert reader.api.call("POST", path, inference_service("fraud", "nowhere/model"))[0] == 403
    assert reader.api.call("GET", path.replace(namespace, "default"))[0] == 403
    assert json.dumps(namespace)[1:-1] in reader.kubeconfig.read_text()


def test_a_part_is_there_until_its_last_thread_ends(tmp_path: Path) -> None:
    parts, begun = Parts(tmp_path), tmp_path / "begun"
    parts.start("two threads", [sys.executable, "-c", _WITHOUT_ITS_FIRST, str(begun)])
    try:
        stat = Path(f"/proc/{parts.pid('two threads')}/stat")
        until(
            lambda: begun.exists() and stat.read_text().split(")")[1].split()[0] == "Z", "its end"
        )
        assert parts.alive("two threads")
    finally:
        parts.stop("two threads", patience=0)
    assert parts.names() == []


@pytest.mark.cluster
def test_a_part_that_hangs_answers_again_after_the_obstacle(
    api: Api, parts: Parts, alone: None
) -> None:
    assert alone is None
    with stopped(parts, "scheduler"):
        assert hangs(parts, "scheduler")
        assert api.call("GET", "/readyz")[0] == 200
    until(lambda: not hangs(parts, "scheduler"), "the scheduler goes on")
