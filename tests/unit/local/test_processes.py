import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PermanentError
from pipeline.local.processes import Command, Process, start, tied, why_no_isolation
from tests.fakes.local_machine import eventually, kill


@pytest.fixture
def sleeping(tmp_path: Path) -> Iterator[Process]:
    command = Command(argv=("/bin/sleep", "600"), output=tmp_path / "output")
    start(command, record=tmp_path / "record.json", notes={"revision": "fraud-00001"})
    process = Process.recorded(tmp_path / "record.json")
    assert process is not None
    yield process
    process.end()


def test_a_process_is_found_by_its_record(sleeping: Process) -> None:
    assert sleeping.alive()
    assert sleeping.notes == {"revision": "fraud-00001"}


def test_it_is_nobody_s_child(sleeping: Process) -> None:
    status = Path(f"/proc/{sleeping.pid}/status").read_text()
    assert f"PPid:\t{os.getpid()}\n" not in status
    assert os.getsid(sleeping.pid) == sleeping.pid


def test_ending_it_twice_is_as_ending_it_once(sleeping: Process) -> None:
    sleeping.end()
    assert not sleeping.alive()
    sleeping.end()


def test_another_process_with_its_pid_is_not_it(sleeping: Process) -> None:
    for stranger in (replace(sleeping, start=1), replace(sleeping, boot="another")):
        assert not stranger.alive()
        stranger.end()
    assert sleeping.alive()


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["/bin/sleep", "600"]) as child:
        stat = Path(f"/proc/{child.pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        start_time = int(stat.rpartition(")")[2].split()[19])
        process = Process(child.pid, start_time, boot, 0.0)
        assert process.alive()
        child.kill()
        eventually(lambda: not process.alive())
        assert Path(f"/proc/{child.pid}").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', "not JSON"])
def test_a_record_that_cannot_be_read_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(content)
    assert Process.recorded(tmp_path / "record.json") is None


def test_no_record_is_none(tmp_path: Path) -> None:
    assert Process.recorded(tmp_path / "record.json") is None


def test_a_pid_that_is_gone_ends_quietly(sleeping: Process) -> None:
    kill(sleeping)
    replace(sleeping, pid=2**22 - 1).end()


def test_what_cannot_be_executed_is_told_with_the_kernel_s_reason(tmp_path: Path) -> None:
    command = Command(argv=("/nothing/here",), output=tmp_path / "output")
    with pytest.raises(PermanentError, match="No such file"):
        start(command, record=tmp_path / "record.json")


def test_a_record_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    command = Command(argv=("/bin/touch", str(proof)), output=tmp_path / "output")
    with pytest.raises(PermanentError, match="No such file"):
        start(command, record=tmp_path / "missing" / "record.json")
    assert not proof.exists()


def test_it_inherits_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAUREL_TOKEN", "secret")
    output = tmp_path / "output"
    command = Command(argv=("/usr/bin/env",), env={"REGION": "eu"}, output=output)
    start(command, record=tmp_path / "record.json")
    eventually(lambda: output.exists() and output.read_text() == "REGION=eu\n")
    assert json.loads((tmp_path / "record.json").read_text())["pid"] > 0
    assert output.stat().st_mode & 0o777 == 0o600


def test_a_tied_process_ends_with_its_context(tmp_path: Path) -> None:
    with tied(Command(argv=("/bin/sleep", "600"), output=tmp_path / "output")) as alive:
        assert alive()
    assert not alive()


def test_a_tied_process_that_ends_is_noticed(tmp_path: Path) -> None:
    with tied(Command(argv=("/bin/true",), output=tmp_path / "output")) as alive:
        eventually(lambda: not alive())


def test_where_there_are_no_namespaces_the_kernel_s_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "launch.py"
    refusing.write_text("import os; os.read(0, 1 << 16); os.write(1, b'[Errno 1] unshare')")
    monkeypatch.setattr("pipeline.local.processes._SCRIPT", refusing)
    assert why_no_isolation() == "[Errno 1] unshare"
