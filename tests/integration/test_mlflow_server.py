"""What an MLflow server says of itself, and what it would let this account do."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.adapters.mlflow_server import MlflowServer
from pipeline.domain.references import ModelVersion
from pipeline.errors import UnavailableError
from tests.servers.scripted import Scripted, scripted_server

MODEL = ModelVersion("fraud", 1)


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted_server() as script:
        yield script


@pytest.fixture
def server(script: Scripted) -> Iterator[MlflowServer]:
    rest = MlflowRest(script.url)
    yield MlflowServer(rest)
    rest.close()


@pytest.mark.parametrize(
    ("status", "body", "version"),
    [
        (200, b"3.17.2\n", "3.17.2"),
        (200, b"3.4.0rc1", "3.4.0rc1"),
        (200, b"<html>a page of a proxy</html>", None),
        (404, b"3.17.2", None),
    ],
)
def test_a_version_is_believed_where_it_is_one(
    script: Scripted, server: MlflowServer, status: int, body: bytes, version: str | None
) -> None:
    script.says(status, body)
    assert server.version() == version


def test_its_clock_is_that_of_its_answers(script: Scripted, server: MlflowServer) -> None:
    script.says(200, b"OK")
    now = server.now()
    assert now is not None
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60


@pytest.mark.parametrize(("status", "may"), [(200, True), (404, True), (403, False)])
def test_who_may_write_tags_is_told_before_anything_is_missed(
    script: Scripted, server: MlflowServer, status: int, *, may: bool
) -> None:
    script.says(status, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
    assert server.may_tag(MODEL) is may


def test_a_server_that_breaks_is_no_answer(script: Scripted, server: MlflowServer) -> None:
    script.says(503, b"")
    with pytest.raises(UnavailableError):
        server.may_tag(MODEL)
