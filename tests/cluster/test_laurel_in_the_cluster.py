"""Laurel's own image, made and signed by Laurel, promotes from a real MLflow in a real cluster."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.conftest import Registered
from tests.acceptance.light_models import light_packages
from tests.cluster.own_laurel import (
    WEBHOOK_SECRET,
    OwnLaurel,
    Secrets,
    base_image,
    installed,
    own_image,
)
from tests.cluster.services import Services
from tests.cluster.stack.whole import Whole
from tests.fakes.wheels import write_wheel
from tests.servers.laurel import until
from tests.servers.mlflow import MlflowServer, running_mlflow
from tests.servers.package_index import running_index

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
    """Serve the one wheel that light models need, as a company's own index would."""
    (folder / "wheels").mkdir()
    write_wheel(folder / "wheels", "light", light_packages(), "1")
    with running_index(folder / "wheels", cluster.place.outside) as url:
        yield url


@pytest.fixture(scope="module")
def laurel(cluster: Whole, mlflow: MlflowServer, index: str, folder: Path) -> Iterator[OwnLaurel]:
    secrets = Secrets(folder)
    secrets.write()
    image, base = own_image(cluster, secrets), base_image(cluster)
    place = cluster.place
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
                "resources": {
                    "requests": {"cpu": "20m", "memory": "64Mi"},
                    "limits": {"memory": "256Mi"},
                },
                "canary": {
                    "steps": [50],
                    "interval": "3s",
                    "min_samples": 20,
                    "look_every": "500ms",
                },
            }
        ],
    }
    with installed(cluster, folder, image, settings, index) as own:
        yield own


@pytest.fixture(scope="module")
def model(mlflow: MlflowServer, folder: Path) -> Registered:
    mlflow.create_model(MODEL)
    return Registered(mlflow, folder / "models", MODEL)


def call(laurel: OwnLaurel, method: str, path: str) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection(laurel.pod(), 8080, timeout=30)) as connection:
        connection.request(
            method, path, headers={"Authorization": "Bearer a token of a test's own"}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")


def asked(cluster: Whole, laurel: OwnLaurel) -> tuple[int, str]:
    gateway = urlsplit(cluster.place.gateway)
    target = Services(cluster.plane.api(), cluster.place, laurel.services).target(SERVICE)
    with closing(
        http.client.HTTPConnection(gateway.hostname or "", gateway.port, timeout=30)
    ) as connection:
        headers = {"Host": target.host, "Content-Type": "application/json"}
        connection.request("POST", "/invocations", b"{}", headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def ended(laurel: OwnLaurel, count: int) -> dict[str, Any]:
    """Wait for the end of the n-th promotion."""

    def found() -> dict[str, Any] | None:
        _, said = call(laurel, "GET", f"/promotions?service={SERVICE}")
        items = said["items"]
        done = len(items) >= count and items[0]["phase"] not in {"pending", "running"}
        return dict(items[0]) if done else None

    return until(found, f"the end of promotion {count}", 240, laurel.story)


def test_an_alias_that_moves_is_promoted_by_the_laurel_in_the_cluster(
    cluster: Whole, laurel: OwnLaurel, model: Registered
) -> None:
    hook = {
        "name": "laurel",
        "url": f"http://{laurel.pod()}:8080/webhooks/mlflow",
        "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
        "secret": WEBHOOK_SECRET,
    }
    model.mlflow.call("POST", "mlflow/webhooks", hook)
    model.point(model.add())
    first = ended(laurel, 1)
    assert first["phase"] == "succeeded", first["reason"]
    assert asked(cluster, laurel) == (200, "1")
