import os
import sys
from pathlib import Path

import pytest

from pipeline.adapters.uv_environment import compile_bytecode, drop_scripts
from pipeline.errors import PermanentError

PYTHON = Path(sys.executable)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tool").write_text("#!/here/python\n")
    (folder / ".lock").touch()
    (folder / "tool").mkdir()
    (folder / "tool" / "__init__.py").write_text("def f():\n    raise ValueError\n")
    (folder / "tool-1.dist-info").mkdir()
    record = "bin/tool,sha256=x,1\ntool/__init__.py,sha256=y,2\n"
    (folder / "tool-1.dist-info" / "RECORD").write_text(record)
    return folder


def test_scripts_go_and_no_record_names_them(environment: Path) -> None:
    drop_scripts(environment)
    assert sorted(path.name for path in environment.iterdir()) == ["tool", "tool-1.dist-info"]
    record = environment / "tool-1.dist-info" / "RECORD"
    assert record.read_text() == "tool/__init__.py,sha256=y,2\n"


def test_what_uv_notes_of_a_wheel_from_a_folder_goes_too(environment: Path) -> None:
    info = environment / "tool-1.dist-info"
    (info / "uv_cache.json").write_text('{"timestamp": 1}')
    with (info / "RECORD").open("a") as record:
        record.write("tool-1.dist-info/uv_cache.json,sha256=z,3\n")
    drop_scripts(environment)
    assert [path.name for path in info.iterdir()] == ["RECORD"]
    assert (info / "RECORD").read_text() == "tool/__init__.py,sha256=y,2\n"


def test_a_record_that_is_shared_with_the_installers_cache_is_replaced_and_not_changed(
    environment: Path, tmp_path: Path
) -> None:
    record = environment / "tool-1.dist-info" / "RECORD"
    os.link(record, tmp_path / "cached")
    drop_scripts(environment)
    assert "bin/tool" in (tmp_path / "cached").read_text()
    assert "bin/tool" not in record.read_text()


def test_an_environment_without_scripts_is_left_as_it_is(environment: Path) -> None:
    drop_scripts(environment)
    record = environment / "tool-1.dist-info" / "RECORD"
    before = record.stat().st_ino
    drop_scripts(environment)
    assert record.stat().st_ino == before


def test_bytecode_names_the_image_and_not_this_machine(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    compile_bytecode(environment, PYTHON)
    [compiled] = environment.rglob("*.pyc")
    content = compiled.read_bytes()
    assert b"/opt/laurel/env/tool/__init__.py" in content
    assert str(environment).encode() not in content
    assert int.from_bytes(content[4:8], "little") == 1  # PEP 552: by hash, unchecked


def test_what_is_no_python_stays_uncompiled(environment: Path) -> None:
    (environment / "tool" / "template.py").write_text("def {{ name }}:\n")
    compile_bytecode(environment, PYTHON)
    assert [path.name.split(".")[0] for path in environment.rglob("*.pyc")] == ["__init__"]


def test_bytecode_that_cannot_be_written_is_an_error(environment: Path) -> None:
    (environment / "tool" / "__pycache__").write_text("in the way")
    with pytest.raises(PermanentError, match=r"File exists|Not a directory"):
        compile_bytecode(environment, PYTHON)


def test_an_interpreter_that_finds_its_libraries_by_a_variable_compiles_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/python/lib")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$LD_LIBRARY_PATH" > {tmp_path}/seen\n')
    python.chmod(0o755)
    (tmp_path / "target").mkdir()
    compile_bytecode(tmp_path / "target", python)
    assert (tmp_path / "seen").read_text() == "/opt/python/lib\n"
