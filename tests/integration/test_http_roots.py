"""Artifact roots that are URLs: MLflow's artifact API, on its own server or on another."""

from collections.abc import Iterator

import pytest

from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_rest import Credentials, MlflowRest
from pipeline.domain.evidence import StoredFile
from pipeline.errors import ForbiddenError, NotFoundError, PermanentError, UnavailableError
from tests.servers.link_maker import running_link_maker
from tests.servers.scripted import Scripted, scripted_server

API = "/api/2.0/mlflow-artifacts/artifacts"
LISTING = {"files": [{"path": "MLmodel", "is_dir": False, "file_size": "3"}]}
FILES = (StoredFile("MLmodel", 3),)


@pytest.fixture
def mlflow() -> Iterator[Scripted]:
    with scripted_server() as script:
        yield script


@pytest.fixture
def other() -> Iterator[Scripted]:
    with scripted_server() as script:
        yield script


@pytest.fixture
def store(mlflow: Scripted) -> Iterator[MlflowArtifacts]:
    rest = MlflowRest(f"{mlflow.url}/behind/", Credentials.basic("ada", "secret"))
    store = MlflowArtifacts(rest)
    yield store
    store.close()
    rest.close()


def test_mlflows_own_server_is_asked_with_its_credentials(
    store: MlflowArtifacts, mlflow: Scripted
) -> None:
    mlflow.says(200, LISTING)
    assert store.files(f"{mlflow.url}/behind{API}/1/a%20model") == FILES
    [(path, headers)] = mlflow.heard
    assert path == f"/behind{API}?path=1%2Fa+model"
    assert headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("prefix", ["", "/behind", "/another"])
def test_another_server_is_asked_without_them(
    store: MlflowArtifacts, other: Scripted, mlflow: Scripted, prefix: str
) -> None:
    other.says(200, LISTING)
    assert store.files(f"{other.url}{prefix}{API}/1/m") == FILES
    [(path, headers)] = other.heard
    assert path == f"{prefix}{API}?path=1%2Fm"
    assert "Authorization" not in headers
    assert not mlflow.heard


def test_another_mlflow_on_the_same_host_is_another_server(
    store: MlflowArtifacts, mlflow: Scripted
) -> None:
    mlflow.says(200, LISTING)
    assert store.files(f"{mlflow.url}/in-front{API}") == FILES
    [(path, headers)] = mlflow.heard
    assert path == f"/in-front{API}?path="
    assert "Authorization" not in headers


def test_a_file_is_read_from_where_the_root_says(store: MlflowArtifacts, other: Scripted) -> None:
    other.says(200, b"abc")
    assert b"".join(store.read(f"{other.url}{API}/1/m", FILES[0])) == b"abc"
    assert other.heard[-1][0] == f"{API}/1/m/MLmodel"


def test_nobody_goes_where_another_servers_links_lead(
    store: MlflowArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.presigned_artifacts.PART", 1)
    with running_link_maker(b"abc") as maker:  # its links could name what Laurel alone can reach
        maker.info["artifacts_presigned_only"] = True
        assert b"".join(store.read(f"{maker.url}{API}/1/m", FILES[0])) == b"abc"
    assert (maker.made, maker.heard, maker.proxied) == (0, [], 1)


@pytest.mark.parametrize(
    "files",
    [
        "MLmodel",
        ["MLmodel"],
        [{"path": "MLmodel", "file_size": -3}],
        [{"path": "MLmodel", "file_size": None}],
        [{"path": "MLmodel", "file_size": "9" * 5000}],
    ],
    ids=["a text", "texts", "a negative size", "no size", "an endless size"],
)
def test_another_servers_nonsense_is_no_listing(
    store: MlflowArtifacts, other: Scripted, files: object
) -> None:
    other.says(200, {"files": files})
    with pytest.raises(PermanentError, match="something else than a listing"):
        store.files(f"{other.url}{API}/1/m")


def test_another_server_that_wants_credentials_is_told_apart(
    store: MlflowArtifacts, other: Scripted
) -> None:
    other.says(401)
    with pytest.raises(ForbiddenError, match=r"is not mlflow\.url and so is sent no credentials"):
        store.files(f"{other.url}{API}/1/m")


def test_another_server_that_is_away_is_waited_for_by_its_name(store: MlflowArtifacts) -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9, .*does not answer"):
        list(store.read(f"http://127.0.0.1:9{API}/1/m", FILES[0]))


def test_another_servers_no_is_told_as_it_is(store: MlflowArtifacts, other: Scripted) -> None:
    other.says(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
    with pytest.raises(NotFoundError, match="RESOURCE_DOES_NOT_EXIST"):
        store.files(f"{other.url}{API}/1/m")


def test_redirects_are_not_followed(
    store: MlflowArtifacts, other: Scripted, mlflow: Scripted
) -> None:
    other.says(302, b"", Location=mlflow.url)
    with pytest.raises(PermanentError, match="redirects"):
        store.files(f"{other.url}{API}/1/m")
    assert not mlflow.heard


@pytest.mark.parametrize(
    "root",
    [
        "http://models.example/fraud",
        f"https://models.example{API}-of-another-kind/1",
        f"http://ada:secret@models.example{API}/1",
    ],
)
def test_a_root_that_mlflow_could_not_read_either_is_refused_and_not_repeated(
    store: MlflowArtifacts, root: str
) -> None:
    with pytest.raises(PermanentError, match="MLflow reads such roots below") as caught:
        store.files(root)
    assert "ada" not in str(caught.value)
    assert "example" not in str(caught.value)
