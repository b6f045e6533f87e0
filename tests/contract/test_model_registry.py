"""What Laurel asks of a model registry, asked of a real MLflow server."""

import math
from collections.abc import Iterator
from uuid import uuid4

import pytest

from pipeline.adapters.mlflow_registry import MlflowRegistry
from pipeline.adapters.mlflow_rest import Credentials, MlflowRest
from pipeline.domain.references import Alias, ModelVersion
from pipeline.errors import ForbiddenError, NotFoundError
from tests.servers.mlflow import MlflowServer

pytestmark = pytest.mark.xdist_group("mlflow")


@pytest.fixture
def rest(mlflow_server: MlflowServer) -> Iterator[MlflowRest]:
    rest = MlflowRest(mlflow_server.url + "/", Credentials.basic("ada", "unused without auth"))
    yield rest
    rest.close()


@pytest.fixture
def registry(rest: MlflowRest) -> MlflowRegistry:
    return MlflowRegistry(rest)


@pytest.fixture
def name(mlflow_server: MlflowServer) -> str:
    name = f"fraud ☃ {uuid4().hex[:8]}"
    mlflow_server.create_model(name)
    return name


def test_an_alias_names_the_version_it_was_moved_to_last(
    registry: MlflowRegistry, mlflow_server: MlflowServer, name: str
) -> None:
    for _ in range(2):
        mlflow_server.register(name)
    mlflow_server.set_alias(name, "champion", 1)
    assert registry.alias(Alias(name, "champion")) == 1
    mlflow_server.set_alias(name, "champion", "02")
    assert registry.alias(Alias(name, "champion")) == 2


def test_an_alias_is_moved_to_a_version_that_there_is(
    registry: MlflowRegistry, mlflow_server: MlflowServer, name: str
) -> None:
    for _ in range(2):
        mlflow_server.register(name)
    for version in (2, 1, 1):
        registry.set_alias(Alias(name, "champion"), version)
        assert registry.alias(Alias(name, "champion")) == version
    with pytest.raises(NotFoundError):
        registry.set_alias(Alias(name, "champion"), 3)
    assert registry.alias(Alias(name, "champion")) == 1


def test_an_alias_that_is_not_set_is_none(registry: MlflowRegistry, name: str) -> None:
    assert registry.alias(Alias(name, "champion")) is None


def test_an_alias_of_an_unknown_model_is_none(registry: MlflowRegistry) -> None:
    assert registry.alias(Alias("nobody registered this", "champion")) is None


def test_aliases_differ_by_case(
    registry: MlflowRegistry, mlflow_server: MlflowServer, name: str
) -> None:
    mlflow_server.register(name)
    mlflow_server.set_alias(name, "Champion", 1)
    assert registry.alias(Alias(name, "champion")) is None


def test_the_alias_map_holds_every_alias_of_every_model_over_all_pages(
    registry: MlflowRegistry,
    mlflow_server: MlflowServer,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.adapters.mlflow_registry._PAGE", "1")
    other = f"{name}-other"
    mlflow_server.create_model(other)
    mlflow_server.register(name)
    mlflow_server.register(other)
    mlflow_server.set_alias(name, "champion", 1)
    mlflow_server.set_alias(name, "challenger", 1)
    mlflow_server.set_alias(other, "champion", 1)
    found = registry.aliases("")
    mine = {key: version for key, version in found.items() if key[0].startswith(name)}
    assert mine == {(name, "champion"): 1, (name, "challenger"): 1, (other, "champion"): 1}


def test_a_version_tells_where_its_files_lie(
    registry: MlflowRegistry, mlflow_server: MlflowServer, name: str
) -> None:
    mlflow_server.register(name)
    version = registry.version(ModelVersion(name, 1))
    assert version.source.startswith("models:/m-")
    assert version.artifact_uri.startswith("mlflow-artifacts:/0/models/m-")
    assert version.model_id == version.source.removeprefix("models:/")
    assert version.tags == {}


def test_a_deleted_version_is_not_found(
    registry: MlflowRegistry, mlflow_server: MlflowServer, name: str
) -> None:
    mlflow_server.register(name)
    gone = {"name": name, "version": "1"}
    mlflow_server.call("DELETE", "mlflow/model-versions/delete", gone)
    with pytest.raises(NotFoundError, match=r"fraud .*/1"):
        registry.version(ModelVersion(name, 1))


def test_tags_are_written_and_unchanged_ones_left_alone(
    registry: MlflowRegistry, mlflow_server: MlflowServer, name: str
) -> None:
    mlflow_server.register(name)
    model = ModelVersion(name, 1)
    registry.set_tags(model, {"laurel.fraud.phase": "succeeded", "ünicode": "ß"})
    registry.set_tags(model, {"laurel.fraud.phase": "succeeded"})
    registry.set_tags(model, {"laurel.fraud.phase": "failed"})
    assert registry.version(model).tags == {"laurel.fraud.phase": "failed", "ünicode": "ß"}


def test_tags_of_a_deleted_version_are_not_found(registry: MlflowRegistry, name: str) -> None:
    with pytest.raises(NotFoundError):
        registry.set_tags(ModelVersion(name, 9), {"a": "b"})


def test_metrics_of_a_run_are_its_latest_values_whatever_numbers_they_are(
    registry: MlflowRegistry, mlflow_server: MlflowServer
) -> None:
    made = mlflow_server.call("POST", "mlflow/runs/create", {"experiment_id": "0"})
    run = made["run"]["info"]["run_id"]
    assert registry.metrics(run, "") == {}
    logged = [("auc", 0.5), ("auc", 0.93), ("zero", 0.0), ("lost", "NaN"), ("far", "-Infinity")]
    for step, (key, value) in enumerate(logged):
        body = {"run_id": run, "key": key, "value": value, "timestamp": 1, "step": step}
        mlflow_server.call("POST", "mlflow/runs/log-metric", body)
    found = registry.metrics(run, "")
    assert (found["auc"], found["zero"]) == (0.93, 0.0)
    assert math.isnan(found["lost"])
    assert found["far"] < 0


def test_metrics_of_an_unknown_run_are_not_found(registry: MlflowRegistry) -> None:
    with pytest.raises(NotFoundError):
        registry.metrics("0" * 32, "")


def test_a_host_name_that_mlflow_refuses_is_told_to_its_owner(mlflow_server: MlflowServer) -> None:
    rest = MlflowRest(mlflow_server.url, Credentials({"Host": "mlflow.example.svc"}))
    with pytest.raises(ForbiddenError, match="--allowed-hosts"):
        MlflowRegistry(rest).alias(Alias("fraud", "champion"))
    rest.close()
