"""What Laurel asks of an artifact store, of every one that it can read: all of them real."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import CorruptedError, ForbiddenError, NotFoundError, PermanentError
from tests.servers.early_mlflow import early_mlflow
from tests.servers.ftp import running_ftp
from tests.servers.mlflow import FIXTURES, MlflowServer, running_mlflow
from tests.servers.object_storage import BUCKET, running_object_storage, settings

pytestmark = pytest.mark.xdist_group("mlflow")

Put = Callable[[Path], str]
PART = 256 << 10
_API = "/api/2.0/mlflow-artifacts/artifacts"
_names = count()


@dataclass(frozen=True)
class Place:
    """A store, and how a folder gets into it."""

    store: MlflowArtifacts
    put: Put
    odd_name: str
    folder: Path


class Places:
    """Starts what a kind of store needs, and tells how it is used."""

    def __init__(
        self, mlflow: MlflowServer, folder: Path, stack: ExitStack, patch: pytest.MonkeyPatch
    ) -> None:
        self.mlflow = mlflow
        self.folder = folder
        self.stack = stack
        self.patch = patch

    def path(self) -> tuple[MlflowServer, Put]:
        return self.mlflow, str

    def file(self) -> tuple[MlflowServer, Put]:
        return self.mlflow, Path.as_uri

    def proxied(self) -> tuple[MlflowServer, Put]:
        return self.mlflow, lambda folder: self.mlflow.log_model(folder)[1]

    def http(self) -> tuple[MlflowServer, Put]:
        def put(folder: Path) -> str:
            uri = self.mlflow.log_model(folder)[1]
            return f"{self.mlflow.url}{_API}{uri.removeprefix('mlflow-artifacts:')}"

        return self.mlflow, put

    def proxied_by_early_mlflow(self) -> tuple[MlflowServer, Put]:
        server = self.stack.enter_context(running_mlflow(self.folder, python=early_mlflow()))
        return server, lambda folder: server.log_model(folder)[1]

    def presigned(self) -> tuple[MlflowServer, Put]:
        storage = self.stack.enter_context(running_object_storage(self.folder))
        server = self.stack.enter_context(
            running_mlflow(
                self.folder,
                destination=f"s3://{BUCKET}/artifacts",
                environment=settings(storage.url),
            )
        )
        return server, lambda folder: server.log_model(folder)[1]

    def s3(self) -> tuple[MlflowServer, Put]:
        storage = self.stack.enter_context(running_object_storage(self.folder))
        for name, value in settings(storage.url).items():
            self.patch.setenv(name, value)
        return self.mlflow, lambda folder: storage.put_folder(folder, f"1/m {next(_names)}")

    def ftp(self) -> tuple[MlflowServer, Put]:
        server = self.stack.enter_context(running_ftp(self.folder))

        def put(folder: Path) -> str:
            name = f"model-{next(_names)}"
            shutil.copytree(folder, self.folder / name)
            return server.uri(name)

        return self.mlflow, put


KINDS = ("path", "file", "proxied", "http", "proxied_by_early_mlflow", "presigned", "s3", "ftp")


@pytest.fixture(scope="module", params=KINDS)
def place(
    request: pytest.FixtureRequest,
    mlflow_server: MlflowServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """Lend each kind of store; files of more than a few parts are read in parts."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.adapters.ranged.PART", PART)
        patch.setattr("pipeline.adapters.presigned_artifacts.PART", PART)
        kind = getattr(Places(mlflow_server, folder, stack, patch), request.param)
        server, put = kind()
        rest = MlflowRest(server.url)
        stack.callback(rest.close)
        store = MlflowArtifacts(rest)
        stack.callback(store.close)
        early = request.param == "proxied_by_early_mlflow"  # it sends no name beyond ASCII
        yield Place(store, put, "+%.py" if early else "é+%.py", folder)


@pytest.fixture
def store(place: Place) -> MlflowArtifacts:
    return place.store


@pytest.fixture
def put(place: Place) -> Put:
    """Store a folder, and return its root's URI."""
    return place.put


@pytest.fixture
def odd_name(request: pytest.FixtureRequest) -> str:
    """Name a file that URLs have to quote."""
    if "place" not in request.fixturenames:
        return "é+%.py"
    name: str = request.getfixturevalue("place").odd_name
    return name


@pytest.fixture
def local(mlflow_server: MlflowServer) -> Iterator[MlflowArtifacts]:
    """Lend a store for folders on this machine."""
    rest = MlflowRest(mlflow_server.url)
    store = MlflowArtifacts(rest)
    yield store
    store.close()
    rest.close()


@pytest.fixture
def model(tmp_path: Path, odd_name: str) -> Path:
    folder = tmp_path / "a model"
    (folder / "code" / "deep er").mkdir(parents=True)
    (folder / "MLmodel").write_bytes(b"flavors: {}\n")
    (folder / "code" / "deep er" / odd_name).write_bytes(b"print(1)\n")
    (folder / "code" / "big.bin").write_bytes(os.urandom(3_000_000))
    (folder / "empty").touch()
    return folder


def listed(store: MlflowArtifacts, uri: str) -> tuple[StoredFile, ...]:
    files = store.files(uri)
    assert not isinstance(files, Refused)
    return files


def test_every_file_is_listed_with_its_size_sorted_by_path(
    store: MlflowArtifacts, put: Put, model: Path, odd_name: str
) -> None:
    assert listed(store, put(model)) == (
        StoredFile("MLmodel", 12),
        StoredFile("code/big.bin", 3_000_000),
        StoredFile(f"code/deep er/{odd_name}", 9),
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


def test_a_file_is_read_a_second_time_from_its_start(
    store: MlflowArtifacts, put: Put, model: Path
) -> None:
    uri, file = put(model), StoredFile("code/big.bin", 3_000_000)
    first = store.read(uri, file)
    next(first)
    assert b"".join(store.read(uri, file)) == (model / file.path).read_bytes()
    assert b"".join(first) in (model / file.path).read_bytes()


@pytest.mark.parametrize("place", ["presigned"], indirect=True)
def test_a_large_file_behind_a_real_mlflow_comes_by_link_and_a_small_one_through_it(
    place: Place, model: Path
) -> None:
    uri = place.put(model)
    for path in ("MLmodel", "code/big.bin"):
        list(place.store.read(uri, StoredFile(path, (model / path).stat().st_size)))
    root = uri.removeprefix("mlflow-artifacts:")
    asked = (place.folder / "mlflow.log").read_text()
    assert f'"GET {_API}{root}/MLmodel ' in asked
    assert f'"GET {_API}{root}/code/big.bin ' not in asked
    assert f'"GET {_API.replace("artifacts/artifacts", "artifacts/presigned")}{root}/code/' in asked


def test_leaving_a_file_early_leaves_no_thread_behind(
    store: MlflowArtifacts, put: Put, model: Path
) -> None:
    stream = store.read(put(model), StoredFile("code/big.bin", 3_000_000))
    next(stream)
    del stream
    for thread in threading.enumerate():
        if thread.name.startswith("laurel-part"):
            thread.join(timeout=30)
            assert not thread.is_alive()


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
    local: MlflowArtifacts, model: Path, target: str
) -> None:
    (model / "link").symlink_to(target)
    refused = local.files(str(model))
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
    local: MlflowArtifacts, model: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.chdir(model)
    with pytest.raises(PermanentError, match="no absolute path"):
        local.files(uri)


def test_a_pipe_on_this_machine_refuses_the_model(local: MlflowArtifacts, model: Path) -> None:
    os.mkfifo(model / "pipe")
    assert isinstance(local.files(str(model)), Refused)


@pytest.mark.parametrize("path", ["link", "folder/hostname"])
def test_a_link_put_there_after_the_listing_is_not_followed(
    local: MlflowArtifacts, model: Path, path: str
) -> None:
    (model / "link").symlink_to("/etc/hostname")
    (model / "folder").symlink_to("/etc")
    with pytest.raises(CorruptedError, match="changed since it was listed"):
        list(local.read(str(model), StoredFile(path, 1)))


def test_a_folder_that_is_not_here_says_what_to_look_at(local: MlflowArtifacts) -> None:
    with pytest.raises(NotFoundError, match="mounted here"):
        local.files("/nonexistent/model")


def test_a_folder_that_is_a_file_is_an_error_with_a_hint(
    local: MlflowArtifacts, model: Path
) -> None:
    with pytest.raises(ForbiddenError, match="let Laurel's user read"):
        local.files(str(model / "MLmodel"))


@pytest.mark.parametrize("uri", ["mlruns/0/model", "runs:/1/model", "models:/m/1", "http://[x"])
def test_a_root_that_is_in_no_store_says_what_laurel_reads(
    local: MlflowArtifacts, uri: str
) -> None:
    with pytest.raises(PermanentError, match="absolute --artifacts-destination"):
        local.files(uri)


def test_credentials_go_to_no_other_server(local: MlflowArtifacts) -> None:
    with pytest.raises(PermanentError, match="names another server"):
        local.files("mlflow-artifacts://evil.example:5000/0/models/m-1/artifacts")
