"""Servers that many tests share, each started once by the worker that needs it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.container_engines import DockerEngine, docker_engine, why_no_engines
from tests.servers.mlflow import MlflowServer, running_mlflow
from tests.servers.registries import (
    Registry,
    running_htpasswd,
    running_ociserver,
    running_odd,
    running_plain,
    running_tls,
    running_token,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group in the ids, by which xdist hands tests out.

    xdist 3.8 writes it where pytest 9.2 no longer looks (pytest-dev/pytest-xdist#1386): without
    this every worker starts every server, and nothing says so.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None:
            item._id = item.id.parse(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Lend a real MLflow server; mark its users ``xdist_group``: a start for each group."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lend a distribution that asks nobody who they are."""
    with running_plain(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


@pytest.fixture(scope="session")
def htpasswd_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lend a distribution behind Basic credentials."""
    with running_htpasswd(tmp_path_factory.mktemp("htpasswd")) as registry:
        yield registry


@pytest.fixture(scope="session")
def token_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lend a distribution behind Bearer tokens of its own token server."""
    with running_token(tmp_path_factory.mktemp("token")) as registry:
        yield registry


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lend a distribution behind a certificate of a private CA."""
    with running_tls(tmp_path_factory.mktemp("tls")) as registry:
        yield registry


@pytest.fixture(scope="session")
def ociserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lend a registry with referrers, filters and ``OCI-Subject``."""
    with running_ociserver(tmp_path_factory.mktemp("ociserver")) as registry:
        yield registry


@pytest.fixture(scope="session")
def odd_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Lend a registry that lists referrers and never says ``OCI-Subject``."""
    with running_odd(tmp_path_factory.mktemp("odd")) as registry:
        yield registry


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lend a cache (XDG's) where the packages of Laurel's own image are installed once.

    Mark its users ``xdist_group("docker_engine")``.
    """
    folder = tmp_path_factory.mktemp("own")
    (folder / "laurel").mkdir()
    return folder


@pytest.fixture(scope="session")
def running_docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerEngine]:
    """Lend a real Docker Engine; mark its users ``xdist_group("docker_engine")``."""
    if why := why_no_engines():
        pytest.skip(why)
    with docker_engine(tmp_path_factory.mktemp("docker")) as engine:
        yield engine
