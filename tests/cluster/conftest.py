"""The cluster that tests share, and what each of them gets in it for itself."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import models
from tests.cluster.lending import lent
from tests.cluster.people import Person, person
from tests.cluster.promotions import Neighbours, Promotions, promoting
from tests.cluster.services import Services
from tests.cluster.stack.api import Api, Object
from tests.cluster.stack.building import build_control_plane
from tests.cluster.stack.control_plane import ControlPlane
from tests.cluster.stack.parts import Parts
from tests.cluster.stack.whole import Whole, start_apart_plane, why_not
from tests.cluster.traffic import Target, Traffic, steady
from tests.cluster.turns import turn
from tests.servers.mlflow import MlflowServer
from tests.servers.waiting import until

Model = models.Model
Load = Callable[..., AbstractContextManager[Traffic]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Whole]:
    """Lend the whole cluster: one that is up, else one for all workers of this run."""
    if why := why_not():
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(why)  # it must not look as if this had been tested
        pytest.skip(why)  # `why` names what this machine lacks
    with lent() as whole:
        yield whole


@pytest.fixture
def alone() -> None:
    """Have the cluster to oneself: for tests that stop a part of it."""


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let nobody stop a part while another test needs it, and notice a part that is gone."""
    if "cluster" not in request.fixturenames:
        yield
        return
    whole: Whole = request.getfixturevalue("cluster")
    with turn(whole.place.folder, alone="alone" in request.fixturenames):
        if gone := whole.ended():
            words = "\n".join(whole.parts.last_words(name) for name in gone)
            pytest.fail(f"the cluster has lost {', '.join(gone)}: {words}")
        yield


@pytest.fixture
def api(cluster: Whole) -> Api:
    """Lend the administrator's connection to the API server."""
    return cluster.plane.api()


@pytest.fixture
def kubeconfig(cluster: Whole) -> Path:
    """Name the administrator's kubeconfig."""
    return cluster.plane.kubeconfig


@pytest.fixture
def parts(cluster: Whole) -> Parts:
    """Lend the cluster's processes; who stops one asks for ``alone`` too."""
    return cluster.parts


@pytest.fixture
def namespace(request: pytest.FixtureRequest, api: Api) -> Iterator[str]:
    """Make a namespace of the test's own; it is deleted with all that is in it."""
    with own_namespace(api, request.node.name) as name:
        yield name


@contextmanager
def own_namespace(api: Api, said: str) -> Iterator[str]:
    """Make a namespace, with a name that says whose it is."""
    said = re.sub(r"[^a-z0-9]+", "-", said.lower())[:40].strip("-")
    name = f"{said}-{os.urandom(3).hex()}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until(lambda: api.get(account), "the account that pods run as, which a controller makes")
    yield name
    api.delete(f"/api/v1/namespaces/{name}")  # goes on by itself


@pytest.fixture
def services(cluster: Whole, api: Api, namespace: str) -> Services:
    """Make InferenceServices in the test's own namespace, and look at them."""
    return Services(api, cluster.place, namespace)


@pytest.fixture
def model(cluster: Whole) -> Model:
    """Push a model server: ``model("v1", ERROR_RATE="0.1")`` is an image by digest."""
    return models.pushing(cluster.place)


@pytest.fixture
def traffic() -> Load:
    """Send requests at a steady rate, until the context ends; what was answered grows in it."""

    def send(
        target: Target, *, rate: float = 50, connections: int = 8
    ) -> AbstractContextManager[Traffic]:
        return steady(target, rate, connections)

    return send


@pytest.fixture(scope="session")
def neighbours(
    cluster: Whole, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Neighbours:
    """Lend what Laurels stand between, and a folder where they make base and environment once."""
    return Neighbours(cluster, mlflow_server, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def promotions(
    neighbours: Neighbours, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., Promotions]]:
    """Start real Laurels: ``promotions(source="prometheus", canary={…})``, see promotions.py."""
    with ExitStack() as stack:

        def start(**said: Any) -> Promotions:  # noqa: ANN401 - as promoting takes it
            folder = tmp_path / f"laurel-{os.urandom(3).hex()}"
            return stack.enter_context(promoting(neighbours, namespace, folder, **said))

        yield start


@pytest.fixture
def someone(cluster: Whole, namespace: str, tmp_path: Path) -> Callable[..., Person]:
    """Make a service account with the rights of a Role's rules in the test's own namespace."""

    def make(name: str, rules: list[Object]) -> Person:
        return person(cluster.plane, namespace, name, rules, tmp_path)

    return make


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Lend an API server that knows KServe's and Knative's objects, and nothing that acts on them.

    It needs no root: guards of patches, schemas, admission and rights are all there is to it.
    """
    build_control_plane()
    parts = Parts(tmp_path_factory.mktemp("plane"))
    try:
        yield start_apart_plane(parts)
    finally:
        parts.stop(*reversed(parts.names()), patience=0)
