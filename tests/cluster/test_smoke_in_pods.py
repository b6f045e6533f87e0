"""Smoke in a pod of its own, on a real cluster, with the rights of k8s/smoke and no others."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.adapters.pod_runner import PodRunner
from pipeline.domain.plan import EnvVar
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Readiness
from pipeline.errors import PermanentError
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.resources import PODS
from pipeline.settings import Settings
from pipeline.settings.sections import RegistrySettings
from tests.cluster.installed import apply, moved, rendered
from tests.cluster.people import account
from tests.cluster.stack.api import Api
from tests.cluster.stack.whole import Whole
from tests.contract.test_model_runner import (  # noqa: F401 - the contract, with this file's fixtures
    test_a_model_becomes_ready_and_answers,
    test_a_model_that_says_no_is_starting,
    test_a_model_whose_process_ends_has_failed,
    test_an_endless_answer_is_cut,
    test_an_image_without_its_interpreter_is_told,
    test_it_gets_the_service_s_variables,
)
from tests.fakes.local_machine import eventually
from tests.fakes.served_image import ImageMaker, built

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("smoke_in_pods")]

LIMITS = {"cpu": "1", "memory": "128Mi"}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "laurel"}}


@pytest.fixture(scope="module")
def images(cluster: Whole, tmp_path_factory: pytest.TempPathFactory) -> ImageMaker:
    host = cluster.place.registry
    settings = RegistrySettings(location=f"{host}/smoke", plain_http=(host,))
    registry = wiring.open_images(Settings(registry=settings))
    return ImageMaker(tmp_path_factory.mktemp("images"), registry, f"{host}/smoke/fraud")


@pytest.fixture(scope="module")
def home(cluster: Whole) -> Iterator[str]:
    """Make the namespace that k8s/smoke describes, beside others of other tests."""
    name = f"smoke-{os.urandom(3).hex()}"
    names = {"laurel-smoke": name, "laurel": name}
    plane = cluster.plane
    objects = moved(rendered(plane, "smoke"), names)
    apply(plane, [each for each in objects if each["kind"] == "Namespace"])
    metadata = {"name": "laurel", "namespace": name}
    apply(plane, [*objects, {**ACCOUNT, "metadata": metadata}])
    yield name
    plane.api().delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def kubeconfig_of_laurel(
    cluster: Whole, home: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return account(cluster.plane, home, "laurel", tmp_path_factory.mktemp("login")).kubeconfig


@pytest.fixture
def pods(kubeconfig_of_laurel: Path, home: str) -> Cluster:
    return connect(kubeconfig=kubeconfig_of_laurel, context=None, namespace=home)


@pytest.fixture
def runner(pods: Cluster) -> Iterator[PodRunner]:
    yield PodRunner(pods, LIMITS, patience=60)
    left = [each for each in pods.list(PODS) if "deletionTimestamp" not in each["metadata"]]
    assert left == [], "a pod stayed"


LOOKING_ABOUT = """
import json
def invoke(body):
    lines = open('/proc/self/status').read().splitlines()
    said = dict(line.split(':', 1) for line in lines if ':' in line)
    wanted = ('Uid', 'Gid', 'CapEff', 'NoNewPrivs', 'Seccomp')
    seen = {name: said[name].split()[0] for name in wanted}
    seen['token'] = os.path.exists('/var/run/secrets/kubernetes.io')
    seen['env'] = sorted(name for name in os.environ if name.startswith(('LAUREL', 'API')))
    for folder in ('/', '/opt/laurel', '/tmp', '/dev/shm'):
        try:
            open(folder + '/written', 'w').close()
            seen[folder] = 'written'
        except OSError as error:
            seen[folder] = error.strerror
    try:
        socket.getaddrinfo('kubernetes.default.svc.cluster.local', 443)
        seen['names'] = 'found'
    except OSError:
        seen['names'] = 'none'
    return 200, json.dumps(seen).encode()
"""


def test_a_model_in_a_pod_can_do_nothing_but_answer(runner: PodRunner, images: ImageMaker) -> None:
    with runner.run(built(images.serve(LOOKING_ABOUT)), ()) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        status, answer = running.invoke(b"{}")
    assert status == 200, answer
    assert json.loads(answer) == {
        "Uid": "65532",
        "Gid": "65532",
        "CapEff": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "token": False,
        "env": [],
        "/": "Read-only file system",
        "/opt/laurel": "Read-only file system",
        "/tmp": "written",  # noqa: S108 - in the pod
        "/dev/shm": "written",  # noqa: S108 - as above
        "names": "none",
    }


def test_a_model_that_eats_memory_is_told_by_which_limit_it_ended(
    runner: PodRunner, images: ImageMaker
) -> None:
    image = images.image("eaten = []\nwhile True:\n    eaten.append(bytearray(8 << 20))")
    with runner.run(built(image), ()) as running:
        eventually(lambda: running.readiness() is Readiness.FAILED)
        assert "OOMKilled, its limit is 128Mi (serving.smoke_limits)" in running.output()


def test_an_image_that_nodes_cannot_pull_is_told_with_the_fix(
    runner: PodRunner, images: ImageMaker
) -> None:
    gone = replace(built(images.serve()), ref=ImageRef(images.repository, Digest.of(b"gone")))
    with pytest.raises(PermanentError, match=r"ImagePull.* pull secret"), runner.run(gone, ()):
        pass


def test_a_variable_from_a_secret_needs_the_secret_there(
    runner: PodRunner, images: ImageMaker, api: Api, home: str
) -> None:
    image = images.serve("def invoke(body):\n    return 200, os.environ['API_KEY'].encode()")
    variable = EnvVar("API_KEY", secret_name="keys", secret_key="api")
    with (
        pytest.raises(
            PermanentError, match=f'"keys" not found; .* must also be in namespace {home}'
        ),
        runner.run(built(image), (variable,)),
    ):
        pass
    path = f"/api/v1/namespaces/{home}/secrets"
    api.create(path, {"metadata": {"name": "keys"}, "stringData": {"api": "a secret"}})
    with runner.run(built(image), (variable,)) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert running.invoke(b"") == (200, b"a secret")


KILLED = """
    import sys
    from pathlib import Path
    from pipeline.adapters.pod_runner import PodRunner
    from pipeline.domain.references import ImageRef
    from pipeline.kserve.cluster import connect
    from tests.fakes.baked_image import _built

    kubeconfig, namespace, image = sys.argv[1:]
    cluster = connect(kubeconfig=Path(kubeconfig), context=None, namespace=namespace)
    runner = PodRunner(cluster, {"cpu": "1", "memory": "128Mi"})
    with runner.run(_built(ImageRef.parse(image)), ()):
        print("running", flush=True)
        sys.stdin.read()
"""


def test_what_a_killed_laurel_left_running_is_removed_by_the_next(
    runner: PodRunner, pods: Cluster, images: ImageMaker, kubeconfig_of_laurel: Path
) -> None:
    image = images.serve()
    with subprocess.Popen(
        [
            *(sys.executable, "-c", textwrap.dedent(KILLED)),
            *(str(kubeconfig_of_laurel), pods.namespace, str(image.ref)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as laurel:
        assert laurel.stdout is not None
        assert laurel.stdout.readline() == b"running\n"
        (left,) = (pod for pod in pods.list(PODS) if "deletionTimestamp" not in pod["metadata"])
        laurel.send_signal(signal.SIGKILL)
    with runner.run(built(image), ()):
        found = pods.get(PODS, left["metadata"]["name"])
        assert found is None or "deletionTimestamp" in found["metadata"]
    eventually(lambda: pods.list(PODS) == [])


def test_without_its_network_policy_nothing_is_started(
    runner: PodRunner, images: ImageMaker, cluster: Whole, home: str
) -> None:
    policies = f"/apis/networking.k8s.io/v1/namespaces/{home}/networkpolicies"
    cluster.plane.api().delete(f"{policies}/default-deny")
    try:
        with (
            pytest.raises(PermanentError, match="kubectl apply -k k8s/smoke"),
            runner.run(built(images.serve()), ()),
        ):
            pass
    finally:
        objects = moved(rendered(cluster.plane, "smoke"), {"laurel-smoke": home, "laurel": home})
        apply(cluster.plane, [each for each in objects if each["kind"] == "NetworkPolicy"])
