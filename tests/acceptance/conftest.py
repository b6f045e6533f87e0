"""What acceptance tests share: one MLflow, one cache of base and environment, light models."""

import base64
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.light_models import LightModel
from tests.servers.laurel import MODEL, Laurel, install
from tests.servers.mlflow import MlflowServer
from tests.servers.registries import Registry
from tests.servers.waiting import until

LIGHT = ("-m", "tests.acceptance.light_laurel", "light")
REAL = (*LIGHT[:2], "real")
Start = Callable[..., Laurel]


@dataclass
class Registered:
    """A registered model of its own for each test, on the shared MLflow."""

    mlflow: MlflowServer
    folder: Path
    name: str
    versions: list[int] = field(default_factory=list)

    def add(self, **manner: Any) -> int:  # noqa: ANN401 - LightModel's own fields
        """Log and register a light model; its number is the version's."""
        number = len(self.versions) + 1
        written = LightModel(number, **manner).write(self.folder / str(number))
        model_id, _ = self.mlflow.log_model(written)
        body = {"name": self.name, "source": f"models:/{model_id}", "model_id": model_id}
        made = self.mlflow.call("POST", "mlflow/model-versions/create", body)["model_version"]
        self.versions.append(int(made["version"]))
        return number

    def point(self, version: int, alias: str = "champion") -> None:
        """Move an alias."""
        self.mlflow.set_alias(self.name, alias, version)

    def remove(self, alias: str = "champion") -> None:
        """Take an alias away."""
        self.mlflow.call(
            "DELETE", "mlflow/registered-models/alias", {"name": self.name, "alias": alias}
        )

    def delete(self, version: int) -> None:
        """Delete a version, and with it every alias on it."""
        body = {"name": self.name, "version": str(version)}
        self.mlflow.call("DELETE", "mlflow/model-versions/delete", body)

    def point_in_database(self, version: int) -> None:
        """Move the alias behind MLflow's back: no event, no webhook."""
        with closing(sqlite3.connect(self.mlflow.folder / "mlflow.db", timeout=30)) as database:
            moved = database.execute(
                "UPDATE registered_model_aliases SET version = ? WHERE name = ? AND alias = ?",
                (version, self.name, "champion"),
            )
            assert moved.rowcount == 1
            database.commit()

    def polled(self, times: int = 2) -> None:
        """Wait until Laurel has read the alias so many times more."""
        asked = f"registered-models/alias?name={self.name}&"
        log = self.mlflow.folder / "mlflow.log"
        before = log.read_text(errors="replace").count(asked)
        until(
            lambda: log.read_text(errors="replace").count(asked) >= before + times,
            f"{times} readings of the alias",
        )

    def tags(self, version: int) -> dict[str, str]:
        """Read a version's tags."""
        path = f"mlflow/model-versions/get?name={self.name}&version={version}"
        found = self.mlflow.call("GET", path)["model_version"].get("tags", [])
        return {tag["key"]: tag["value"] for tag in found}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lend a folder where base and environment are made once."""
    return tmp_path_factory.mktemp("cache")


_numbers = itertools.count(1)


def registered(mlflow: MlflowServer, folder: Path) -> Registered:
    """Register a model without versions."""
    name = f"{MODEL}-{next(_numbers)}"
    mlflow.create_model(name)
    return Registered(mlflow, folder / "models", name)


@contextmanager
def laurels(model: Registered, cache: Path, root: Path) -> Iterator[Start]:
    """Install light Laurels for the model below ``root``, and take down what they leave."""
    made: list[Laurel] = []

    def start(verb: str | None = "worker", **changes: Any) -> Laurel:  # noqa: ANN401 - settings
        folder = root / f"laurel-{len(made)}"
        install(folder, model.mlflow.url, cache, model=model.name, **changes)
        made.append(Laurel(folder, LIGHT))
        if verb is not None:
            made[-1].start(verb)
        return made[-1]

    try:
        yield start
    finally:
        for each in made:
            each.down()


def docker_login(registry: Registry, folder: Path) -> dict[str, str]:
    """Write the ``config.json`` that ``docker login`` would leave; say in variables where."""
    login = f"{registry.username}:{registry.password}".encode()
    auths = {registry.host: {"auth": base64.b64encode(login).decode()}}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.fixture
def model(mlflow_server: MlflowServer, tmp_path: Path) -> Registered:
    """Lend a registered model without versions."""
    return registered(mlflow_server, tmp_path)


@pytest.fixture
def laurel(model: Registered, cache: Path, tmp_path: Path) -> Iterator[Start]:
    """Lend Laurels that watch the model."""
    with laurels(model, cache, tmp_path) as start:
        yield start
