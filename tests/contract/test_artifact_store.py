"""What Laurel asks of an artifact store: files on this machine, and files behind real MLflow."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import CorruptedError, ForbiddenError, NotFoundError, PermanentError
from tests.servers.mlflow import FIXTURES, MlflowServer

pytestmark = pytest.mark.xdist_group("mlflow")

Put = Callable[[Path], str]


@pytest.fixture
def store(mlflow_server: MlflowServer) -> Iterator[MlflowArtifacts]:
    rest = MlflowRest(mlflow_server.url)
    yield MlflowArtifacts(rest)
    rest.close()


@pytest.fixture(params=["path", "file", "mlflow-artifacts"])
def put(request: pytest.FixtureRequest, mlflow_server: MlflowServer) -> Put:
    """Store a folder, and return its root's URI."""
    ways: dict[str, Put] = {
        "path": str,
        "file": Path.as_uri,
        "mlflow-artifacts": lambda folder: mlflow_server.log_model(folder)[1],
    }
    return ways[request.param]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "a model"
    (folder / "code" / "deep er").mkdir(parents=True)
    (folder / "MLmodel").write_bytes(b"flavors: {}\n")
    (folder / "code" / "deep er" / "é+%.py").write_bytes(b"print(1)\n")
    (folder / "code" / "big.bin").write_bytes(os.urandom(3_000_000))
    (folder / "empty").touch()
    return folder


def listed(store: MlflowArtifacts, uri: str) -> tuple[StoredFile, ...]:
    files = store.files(uri)
    assert not isinstance(files, Refused)
    return files


def test_every_file_is_listed_with_its_size_sorted_by_path(
    store: MlflowArtifacts, put: Put, model: Path
) -> None:
    assert listed(store, put(model)) == (
        StoredFile("MLmodel", 12),
        StoredFile("code/big.bin", 3_000_000),
        StoredFile("code/deep er/é+%.py", 9),
        StoredFile("empty", 0),
    )


def test_every_file_is_read_as_it_was_stored(store: MlflowArtifacts, put: Put, model: Path) -> None:
    uri = put(model)
    for file in listed(store, uri):
        assert b"".join(store.read(uri, file)) == (model / file.path).read_bytes()


@pytest.mark.parametrize("size", [11, 13])
def test_a_file_of_another_length_than_listed_is_corrupted(
    store: MlflowArtifacts, put: Put, model: Path, size: int
) -> None:
    with pytest.raises(CorruptedError, match="MLmodel"):
        list(store.read(put(model), StoredFile("MLmodel", size)))


@pytest.mark.parametrize(
    "path", ["../secret", "code/../../secret", "/etc/hostname", "code//big.bin"]
)
def test_a_path_that_leads_out_of_the_model_is_not_read(
    store: MlflowArtifacts, put: Put, model: Path, path: str
) -> None:
    (model.parent / "secret").write_bytes(b"secret")
    with pytest.raises(CorruptedError):
        list(store.read(put(model), StoredFile(path, 6)))


def test_a_recorded_model_comes_back_whole(store: MlflowArtifacts, put: Put) -> None:
    folder = FIXTURES / "sk-skops"
    files = listed(store, put(folder))
    assert {file.path: file.size for file in files} == {
        path.name: path.stat().st_size for path in folder.iterdir()
    }


def test_a_file_deleted_after_the_listing_says_so(
    store: MlflowArtifacts, put: Put, model: Path
) -> None:
    with pytest.raises((CorruptedError, NotFoundError), match="gone"):
        list(store.read(put(model), StoredFile("gone", 1)))


@pytest.mark.parametrize("target", ["/etc/hostname", "MLmodel", "code", "nowhere"])
def test_a_link_on_this_machine_refuses_the_model(
    store: MlflowArtifacts, model: Path, target: str
) -> None:
    (model / "link").symlink_to(target)
    refused = store.files(str(model))
    assert isinstance(refused, Refused)
    assert "'link'" in refused.reason


def test_folders_that_are_too_deep_refuse_the_model(
    store: MlflowArtifacts, put: Put, model: Path
) -> None:
    (model / "/".join("d" * 32)).mkdir(parents=True)
    (model / "/".join("d" * 32) / "fits").touch()
    assert len(listed(store, put(model))) == 5
    (model / "/".join("d" * 33)).mkdir()
    (model / "/".join("d" * 33) / "deeper").touch()
    refused = store.files(put(model))
    assert isinstance(refused, Refused)
    assert "deeper than 32 folders" in refused.reason


@pytest.mark.parametrize("uri", ["file:.", "file:model", "file://host"])
def test_a_folder_is_never_looked_for_where_laurel_runs(
    store: MlflowArtifacts, model: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.chdir(model)
    with pytest.raises(PermanentError, match="no absolute path"):
        store.files(uri)


def test_a_pipe_on_this_machine_refuses_the_model(store: MlflowArtifacts, model: Path) -> None:
    os.mkfifo(model / "pipe")
    assert isinstance(store.files(str(model)), Refused)


@pytest.mark.parametrize("path", ["link", "folder/hostname"])
def test_a_link_put_there_after_the_listing_is_not_followed(
    store: MlflowArtifacts, model: Path, path: str
) -> None:
    (model / "link").symlink_to("/etc/hostname")
    (model / "folder").symlink_to("/etc")
    with pytest.raises(CorruptedError, match="changed since it was listed"):
        list(store.read(str(model), StoredFile(path, 1)))


def test_a_folder_that_is_not_here_says_what_to_look_at(store: MlflowArtifacts) -> None:
    with pytest.raises(NotFoundError, match="mounted here"):
        store.files("/nonexistent/model")


def test_a_folder_that_is_a_file_is_an_error_with_a_hint(
    store: MlflowArtifacts, model: Path
) -> None:
    with pytest.raises(ForbiddenError, match="let Laurel's user read"):
        store.files(str(model / "MLmodel"))


@pytest.mark.parametrize("uri", ["s3://bucket/model", "gs://b/m", "mlruns/0/model", "dbfs:/m"])
def test_a_store_that_laurel_cannot_read_is_named(store: MlflowArtifacts, uri: str) -> None:
    with pytest.raises(PermanentError, match="--serve-artifacts"):
        store.files(uri)


def test_credentials_go_to_no_other_server(store: MlflowArtifacts) -> None:
    with pytest.raises(PermanentError, match="names another server"):
        store.files("mlflow-artifacts://evil.example:5000/0/models/m-1/artifacts")
