"""Servers that many tests share, each started once by the worker that needs it."""

from collections.abc import Iterator

import pytest

from tests.servers.mlflow import MlflowServer, running_mlflow


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Lend a real MLflow server; mark its users ``xdist_group("mlflow")``: one start for all."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server
