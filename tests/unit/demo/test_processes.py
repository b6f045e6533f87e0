import os
import select
import sys
from pathlib import Path

import pytest

from pipeline.demo.processes import Child, environment, tail

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
child.wait()
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    child = Child("parent", [sys.executable, "-c", _PARENT], tmp_path, talks=True)
    grandchild = int(child.hear())
    end = os.pidfd_open(grandchild)
    child.stop()
    assert child.ended()
    assert select.select([end], [], [], 30)[0]  # it was killed; the kernel may still clear it away
    os.close(end)


def test_a_child_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    child = Child("deaf", [sys.executable, "-c", _STUBBORN], tmp_path, talks=True)
    assert child.hear() == b"deaf\n"
    child.stop(within=0.05)
    assert child.ended()


def test_a_child_that_ended_long_ago_can_be_stopped_again(tmp_path: Path) -> None:
    child = Child("brief", [sys.executable, "-c", ""], tmp_path)
    child.stop()
    child.stop()
    assert child.ended()


def test_a_child_talks_by_lines(tmp_path: Path) -> None:
    echo = "import sys; [print(line, end='', flush=True) for line in sys.stdin]"
    child = Child("echo", [sys.executable, "-c", echo], tmp_path, talks=True)
    child.say(b"hello")
    assert child.hear() == b"hello\n"
    child.stop()


def test_a_child_that_does_not_talk_prints_into_its_log(tmp_path: Path) -> None:
    lines = "[print(number) for number in range(100)]"
    child = Child("count", [sys.executable, "-c", lines], tmp_path)
    child._process.wait()
    child.stop()
    assert tail(child.log).splitlines()[-1] == "99"
    assert len(tail(child.log).splitlines()) == 12


def test_a_log_that_was_never_written_has_no_last_lines(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == ""


def test_the_users_own_mlflow_and_laurel_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://company")
    monkeypatch.setenv("LAUREL_TOKEN", "secret")
    monkeypatch.setenv("UV_CACHE_DIR", "/cache")
    inherited = environment()
    assert not [name for name in inherited if name.startswith(("MLFLOW_", "LAUREL_"))]
    assert inherited["UV_CACHE_DIR"] == "/cache"


def test_the_registry_that_the_user_chose_is_the_demo_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUREL_REGISTRY", "localhost:5000/ml")
    assert environment()["LAUREL_REGISTRY"] == "localhost:5000/ml"


def test_loopback_goes_past_the_proxy_beside_what_already_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "company")
    monkeypatch.delenv("no_proxy", raising=False)
    inherited = environment()
    assert inherited["NO_PROXY"] == "company,127.0.0.1,localhost"
    assert inherited["no_proxy"] == "127.0.0.1,localhost"


def test_a_child_has_a_session_of_its_own_so_that_ctrl_c_spares_it(tmp_path: Path) -> None:
    session = "import os; print(os.getsid(0) == os.getpid(), flush=True)"
    child = Child("session", [sys.executable, "-c", session], tmp_path, talks=True)
    assert child.hear() == b"True\n"
    child.stop()
