"""README's quick start, command by command, against a real MLflow."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.domain.promotion import Phase
from tests.acceptance.conftest import LIGHT, Registered
from tests.architecture.readme import ROOT, RUN_ELSEWHERE, commands
from tests.servers.laurel import Laurel, free_ports

pytestmark = pytest.mark.xdist_group("mlflow")
_URL, _MODEL = "http://127.0.0.1:5000", "fraud-scorer"


class Reader:
    """Types what README says, in a folder of their own, about a model of their own."""

    def __init__(self, folder: Path, model: Registered, cache: Path) -> None:
        self.folder, self.model, self.cache = folder, model, cache

    def types(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command, with this MLflow and model for README's."""
        words = [
            word.replace(_URL, self.model.mlflow.url).replace(_MODEL, self.model.name)
            for word in shlex.split(command)
        ]
        assert words[0] == "laurel"
        return subprocess.run(
            [sys.executable, *LIGHT, "never", *words[1:]],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def settles(self) -> None:
        """Choose free ports, this test's cache and a canary that asks for no traffic."""
        path = self.folder / "laurel.yaml"
        settings: dict[str, Any] = yaml.safe_load(path.read_text())
        front, receiver = free_ports(2)
        settings["mlflow"]["poll"] = "500ms"
        settings["serving"] = {"target": "local", "port": front}
        settings["server"] = {"port": receiver}
        settings["worker"] = {"cache": str(self.cache)}
        settings["services"][0] |= {
            "runtime": "mlflow",
            "canary": {"steps": [50], "interval": "300ms", "no_data": "pass"},
        }
        path.write_text(yaml.safe_dump(settings))


@pytest.fixture
def reader(tmp_path: Path, model: Registered, cache: Path) -> Iterator[Reader]:
    folder = tmp_path / "reader"
    folder.mkdir()
    made = Reader(folder, model, cache)
    yield made
    made.types("laurel down")


def test_the_quick_start_does_what_it_says(reader: Reader) -> None:
    init, up, *others = [each for each in commands() if each not in RUN_ELSEWHERE]
    assert (init.split()[1], up) == ("init", "laurel up")
    assert reader.types(init).returncode == 0
    reader.settles()
    laurel = Laurel(reader.folder, LIGHT)
    laurel.start("up")
    try:
        for version in (1, 2):
            reader.model.add()
            reader.model.point(version)
            assert laurel.ended(version).phase is Phase.SUCCEEDED, laurel.story()
        for command in others:
            done = reader.types(command)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            assert done.stdout, command
    finally:
        laurel.down()
