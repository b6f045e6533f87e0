"""Laurel's own image, made and signed by Laurel, promotes from a real MLflow in a real cluster."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.trust.statements import COSIGN_SIGN, SLSA_PROVENANCE
from tests.acceptance.conftest import Registered
from tests.acceptance.light_models import light_packages
from tests.cluster.own_laurel import (
    OwnLaurel,
    base_image,
    prepared,
)
from tests.cluster.services import Services
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import Target, steady
from tests.cluster.turns import turn
from tests.fakes.wheels import write_wheel
from tests.servers.mlflow import MlflowServer, running_mlflow
from tests.servers.package_index import running_index
from tests.servers.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("laurel_in_the_cluster")]

MODEL, SERVICE = "fraud-scorer", "fraud"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laurel")


@pytest.fixture(scope="module")
def mlflow(cluster: Whole, folder: Path) -> Iterator[MlflowServer]:
    (folder / "mlflow").mkdir()
    with running_mlflow(folder / "mlflow", host=cluster.place.outside) as server:
        yield server


@pytest.fixture(scope="module")
def index(cluster: Whole, folder: Path) -> Iterator[str]:
    """Serve what light models need, as a company's own index would."""
    (folder / "wheels").mkdir()
    write_wheel(folder / "wheels", "light", {"light.py": b""}, "1")
    write_wheel(folder / "wheels", "mlflow", light_packages(), "3.17.2")
    with running_index(folder / "wheels", cluster.place.outside) as url:
        yield url


@pytest.fixture(scope="module")
def laurel(cluster: Whole, mlflow: MlflowServer, index: str, folder: Path) -> Iterator[OwnLaurel]:
    base, place = base_image(cluster), cluster.place
    settings = {
        "mlflow": {"url": mlflow.url, "poll": "2s"},
        "webhook": {"secret_file": "/etc/laurel/webhook/webhook.secret"},
        "ledger": "sqlite:////data/laurel.db",
        "registry": {"location": f"{place.registry}/models", "plain_http": [place.registry]},
        "signing": {
            "key": "/etc/laurel/signing/laurel.key",
            "password_file": "/etc/laurel/signing/laurel.key.password",
        },
        "serving": {
            "target": "kserve",
            "namespace": "ml",
            "gateway": place.gateway,
            "smoke": "pod",
            "smoke_limits": {"cpu": "1", "memory": "256Mi"},
        },
        "metrics": {"source": "envoy", "url": place.statistics},
        "server": {"host": "0.0.0.0", "token_file": "/etc/laurel/token/laurel.token"},  # noqa: S104 - its pod's
        "worker": {"engine": "/data/laurel-engine.db", "cache_limit": "15GB"},
        "services": [
            {
                "name": SERVICE,
                "model": MODEL,
                "runtime": "mlflow",
                "base": str(base),
                "timeout": "10s",  # pods drain as long before they end
                "resources": {
                    "requests": {"cpu": "20m", "memory": "64Mi"},
                    "limits": {"memory": "256Mi"},
                },
                "canary": {
                    "steps": [30, 60],
                    "interval": "3s",
                    "min_samples": 20,
                    "look_every": "500ms",
                },
            }
        ],
    }
    (folder / "administrator").mkdir()
    with prepared(cluster, folder / "administrator", mlflow.url) as administrator:
        with turn(cluster.place.folder, alone=False):
            administrator.type(until_="kubectl create secret generic laurel-signing")
            administrator.edit(administrator.make_image(), settings, index)
            administrator.type(since="kubectl create namespace ml", until_="kubectl rollout status")
        yield OwnLaurel(cluster, administrator)


@pytest.fixture(scope="module")
def model(mlflow: MlflowServer, folder: Path) -> Registered:
    mlflow.create_model(MODEL)
    return Registered(mlflow, folder / "models", MODEL)


def call(laurel: OwnLaurel, method: str, path: str) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection(laurel.pod(), 8080, timeout=30)) as connection:
        connection.request(
            method, path, headers={"Authorization": f"Bearer {laurel.secret('laurel.token')}"}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")


def promotions(laurel: OwnLaurel) -> list[dict[str, Any]]:
    """List them, newest first."""
    return list(call(laurel, "GET", f"/promotions?service={SERVICE}")[1]["items"])


def ended(laurel: OwnLaurel, count: int) -> dict[str, Any]:
    """Wait for the end of the n-th promotion."""

    def found() -> dict[str, Any] | None:
        items = promotions(laurel)
        done = len(items) >= count and items[0]["phase"] not in {"pending", "running"}
        return call(laurel, "GET", f"/promotions/{items[0]['id']}")[1] if done else None

    return until(found, f"the end of promotion {count}", 240, laurel.story)


@pytest.fixture(scope="module")
def serving(cluster: Whole, laurel: OwnLaurel, model: Registered) -> dict[str, Any]:
    """Have MLflow tell Laurel's pod of a first version."""
    hook = {
        "name": "laurel",
        "url": f"http://{laurel.pod()}:8080/webhooks/mlflow",
        "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
        "secret": laurel.secret("webhook.secret"),
    }
    model.mlflow.call("POST", "mlflow/webhooks", hook)
    with turn(cluster.place.folder, alone=False):
        model.point(model.add())
        return ended(laurel, 1)


@pytest.fixture
def users(cluster: Whole, serving: dict[str, Any]) -> Target:
    assert serving["phase"] == "succeeded", serving["reason"]
    found = Services(cluster.plane.api(), cluster.place, "ml").target(SERVICE)
    return replace(found, path="/invocations")


@pytest.mark.smoke
def test_an_alias_that_moves_in_mlflow_is_promoted_by_the_laurel_in_the_cluster(
    laurel: OwnLaurel, model: Registered, serving: dict[str, Any], users: Target
) -> None:
    assert serving["trigger"]["kind"] == "webhook"
    with steady(users, rate=40, connections=4) as seen:
        seen.wait(40)
        model.point(model.add())
        second = ended(laurel, 2)
        assert second["phase"] == "succeeded", second["reason"]
        after = seen.wait(100)
    assert [step["verdict"] for step in second["canary"]] == ["pass", "pass"]
    assert set(seen.versions(after)) == {"2"}
    assert seen.failed() == []


def test_a_laurel_that_is_replaced_in_the_middle_of_a_canary_brings_it_to_its_end(
    cluster: Whole, laurel: OwnLaurel, model: Registered, users: Target
) -> None:
    before = len(promotions(laurel))
    with steady(users, rate=40, connections=4) as seen:
        seen.wait(40)
        version = model.add()
        model.point(version)
        seen.until(lambda: str(version) in seen.versions(), 240)  # it has its first percent
        cluster.plane.kubectl("rollout", "restart", "deployment/laurel", "--namespace=laurel")
        cluster.plane.kubectl("rollout", "status", "deployment/laurel", "--namespace=laurel")
        last = ended(laurel, before + 1)
        assert last["phase"] == "succeeded", last["reason"]
        after = seen.wait(100)
    assert set(seen.versions(after)) == {str(version)}
    assert seen.failed() == []


def test_people_ask_it_from_inside_and_prometheus_by_its_address(
    laurel: OwnLaurel, serving: dict[str, Any]
) -> None:
    assert serving["phase"] == "succeeded", serving["reason"]
    assert SERVICE in laurel.administrator.type(since="kubectl exec", until_="kubectl exec")
    with closing(http.client.HTTPConnection(laurel.pod(), 8080, timeout=30)) as connection:
        connection.request("GET", "/metrics")
        assert b"laurel_promotions" in connection.getresponse().read()


def test_its_own_image_carries_its_signature_and_provenance(laurel: OwnLaurel) -> None:
    carried = laurel.administrator.attached_to_own_image()
    assert carried == {COSIGN_SIGN, SLSA_PROVENANCE}
