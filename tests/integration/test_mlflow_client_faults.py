"""Stores that MLflow's own client reads: what goes wrong there, in its process or on the way."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.adapters.mlflow_client_artifacts import MlflowClientArtifacts
from pipeline.adapters.mlflow_client_process import ClientProcess, environment_for
from pipeline.domain.evidence import StoredFile
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    UnavailableError,
)
from tests.servers.ftp import PASSWORD, FtpStore, running_ftp
from tests.servers.waiting import until

ROOT = Path(__file__).parents[2]
LARGE = StoredFile("large", 3 << 20)


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpStore]:
    folder = tmp_path_factory.mktemp("ftp")
    (folder / "model").mkdir()
    (folder / "model" / "MLmodel").write_bytes(b"flavors: {}\n")
    (folder / "model" / LARGE.path).write_bytes(bytes(LARGE.size))
    with running_ftp(folder) as store:
        yield store


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Name the only folder where temporary files may lie meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        yield Path(tempfile.gettempdir())


@pytest.fixture(scope="module")
def store(temporary: Path) -> Iterator[MlflowClientArtifacts]:
    store = MlflowClientArtifacts()
    yield store
    store.close()
    assert not list(temporary.iterdir())


def children() -> list[int]:
    """Find the processes of MLflow's client that this one has started."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    found = [int(pid) for pid in path.read_text().split()]
    name = b"mlflow_client_child.py"
    return [pid for pid in found if name in Path(f"/proc/{pid}/cmdline").read_bytes()]


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_wrong_password_is_told_without_it(store: MlflowClientArtifacts, ftp: FtpStore) -> None:
    with pytest.raises(
        ForbiddenError, match="530: give Laurel's process the credentials"
    ) as caught:
        store.files(ftp.uri("model", "another-password"))
    assert "another-password" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_no_process_is_started_for_what_an_idle_one_can_answer(
    store: MlflowClientArtifacts, ftp: FtpStore
) -> None:
    store.files(ftp.uri("model"))
    before = children()
    for _ in range(2):
        list(store.read(ftp.uri("model"), LARGE))
    assert children() == before


def test_credentials_are_in_no_command_line_and_no_environment(
    store: MlflowClientArtifacts, ftp: FtpStore
) -> None:
    store.files(ftp.uri("model"))
    for pid in children():
        for secret in ("cmdline", "environ"):
            assert PASSWORD[:6].encode() not in Path(f"/proc/{pid}/{secret}").read_bytes()


def test_a_process_that_was_killed_meanwhile_is_replaced(
    store: MlflowClientArtifacts, ftp: FtpStore
) -> None:
    store.files(ftp.uri("model"))
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    assert StoredFile("MLmodel", 12) in store.files(ftp.uri("model"))  # type: ignore[operator]  # a refusal would fail here, too


def test_a_file_longer_than_listed_is_cut_off_while_it_is_written(
    store: MlflowClientArtifacts, ftp: FtpStore
) -> None:
    with pytest.raises(CorruptedError, match="longer than it was listed"):
        list(store.read(ftp.uri("model"), StoredFile(LARGE.path, 10)))


def test_a_file_that_is_gone_is_not_found(store: MlflowClientArtifacts, ftp: FtpStore) -> None:
    with pytest.raises(NotFoundError, match="550"):
        list(store.read(ftp.uri("model"), StoredFile("gone", 10)))


def test_leaving_a_file_early_leaves_nothing_on_disk(
    store: MlflowClientArtifacts, ftp: FtpStore, temporary: Path
) -> None:
    stream = store.read(ftp.uri("model"), LARGE)
    next(stream)
    assert not files_below(temporary)
    del stream


def test_a_store_that_is_down_is_unavailable(store: MlflowClientArtifacts) -> None:
    with pytest.raises(UnavailableError, match="ConnectionRefusedError"):
        store.files("ftp://127.0.0.1:9/model")


def test_a_store_that_never_answers_is_unavailable_in_the_end(
    store: MlflowClientArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.mlflow_client_artifacts._LISTING", 3.0)
    says = pytest.raises(UnavailableError, match="gave no answer in 3 s")
    with socket.create_server(("127.0.0.1", 0)) as silent, says:
        store.files(f"ftp://127.0.0.1:{silent.getsockname()[1]}/model")
    assert not children()


def test_a_scheme_that_nobody_reads_names_the_plug_in(store: MlflowClientArtifacts) -> None:
    with pytest.raises(PermanentError, match="install MLflow's plug-in"):
        store.files("oss://bucket/model")


def test_a_clients_library_that_is_not_here_is_named(store: MlflowClientArtifacts) -> None:
    with pytest.raises(ConfigurationError, match="pip install pysftp"):
        store.files("sftp://127.0.0.1/model")


def test_a_machine_without_mlflow_says_what_to_install(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del temporary
    bare = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    monkeypatch.setattr("pipeline.adapters.mlflow_client_process.sys.executable", str(bare))
    store = MlflowClientArtifacts()
    with pytest.raises(ConfigurationError, match=r"pip install 'laurel\[mlflow\]'"):
        store.files("gs://bucket/model")
    store.close()


def test_the_process_ends_with_the_one_that_asks_it(ftp: FtpStore, tmp_path: Path) -> None:
    program = (
        "import sys, tempfile\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "from pipeline.adapters.mlflow_client_artifacts import MlflowClientArtifacts\n"
        "store = MlflowClientArtifacts()\n"
        "store.files(sys.argv[1])\n"
        "(process,) = store._idle['ftp']\n"
        "print(process._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, ftp.uri("model"), str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdout is not None
        pid = int(asking.stdout.readline())
        asking.kill()
    until(lambda: not Path(f"/proc/{pid}/cmdline").exists(), "the process is gone")
    assert not list(tmp_path.iterdir())


def test_a_process_may_be_ended_twice(temporary: Path) -> None:
    process = ClientProcess(environment_for("ftp", os.environ))
    for _ in range(2):
        process.end()
    assert temporary.exists()


def test_an_endless_answer_is_not_read_to_its_end(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.mlflow_client_process._LARGEST_ANSWER", 10)
    store = MlflowClientArtifacts()
    with pytest.raises(UnavailableError, match="ended"):
        store.files("oss://bucket/model")
    store.close()
    assert temporary.exists()


Ask = Callable[..., dict[str, object]]


def answering(monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]) -> MlflowClientArtifacts:
    """Let the process answer what no store here would say."""

    def ask(self: ClientProcess, question: object, seconds: float) -> dict[str, object]:
        del self, question, seconds
        return answer

    monkeypatch.setattr(ClientProcess, "ask", ask)
    return MlflowClientArtifacts()


def test_a_store_that_tells_no_sizes_is_not_read(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del temporary
    store = answering(monkeypatch, {"files": [["MLmodel", None]]})
    with pytest.raises(PermanentError, match="tells no sizes"):
        store.files("gs://bucket/model")
    store.close()


def test_the_environment_is_the_schemes_and_no_more() -> None:
    everything = {
        "PATH": "/bin",
        "HOME": "/home/laurel",
        "HTTPS_PROXY": "http://proxy",
        "LAUREL_MLFLOW__PASSWORD": "secret",
        "GOOGLE_APPLICATION_CREDENTIALS": "/gcp.json",
        "AZURE_STORAGE_CONNECTION_STRING": "azure",
        "AWS_SECRET_ACCESS_KEY": "aws",
        "DATABRICKS_TOKEN": "databricks",
        "MLFLOW_TRACKING_PASSWORD": "tracking",
        "MLFLOW_OSS_KEY": "oss",
        "LD_PRELOAD": "/evil.so",
    }
    common = {"PATH", "HOME", "HTTPS_PROXY"}
    expected = {
        "gs": {"GOOGLE_APPLICATION_CREDENTIALS"},
        "wasbs": {"AZURE_STORAGE_CONNECTION_STRING"},
        "abfss": {"AZURE_STORAGE_CONNECTION_STRING"},
        "dbfs": {"DATABRICKS_TOKEN"},
        "r2": {"AWS_SECRET_ACCESS_KEY"},
        "oss": {"MLFLOW_OSS_KEY"},
        "ftp": set(),
    }
    for scheme, own in expected.items():
        chosen = environment_for(scheme, everything)
        assert {name for name in chosen if name in everything} == common | own, scheme
