import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo import data_scientist
from pipeline.demo.data_scientist import DataScientist, Version
from pipeline.demo.processes import Child
from pipeline.errors import PermanentError

_VERSIONS = [{"version": 1, "name": "small sample", "auc": 0.8}]
_OBEDIENT = f"""
import json, sys
print("{{}}", flush=True)
for line in sys.stdin:
    sys.stderr.write(line)
    sys.stderr.flush()
    print({json.dumps(json.dumps(_VERSIONS))}, flush=True)
"""
_FAILING = """
import sys
print("{}", flush=True)
sys.stdin.readline()
sys.exit("ModuleNotFoundError: sklearn")
"""
Hire = Callable[[str], DataScientist]


@pytest.fixture
def hire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hire]:
    """Lend data scientists whose program is another: MLflow takes seconds to import."""
    hired: list[DataScientist] = []

    def hire(program: str) -> DataScientist:
        def child(name: str, _argv: list[str], *rest: Any, **more: Any) -> Child:  # noqa: ANN401 - as it is called
            return Child(name, [sys.executable, "-c", program], *rest, **more)

        monkeypatch.setattr(data_scientist, "Child", child)
        hired.append(DataScientist(tmp_path, "http://127.0.0.1:9"))
        return hired[-1]

    yield hire
    for each in hired:
        each.stop()


def test_versions_are_registered_with_a_webhook_and_the_alias_moved(
    hire: Hire, tmp_path: Path
) -> None:
    scientist = hire(_OBEDIENT)
    scientist.trained()
    registered = scientist.register("fraud-scorer", webhook="http://laurel", secret="s")
    assert registered == (Version(1, "small sample", 0.8),)
    scientist.make_champion("fraud-scorer", 1)
    said = [json.loads(line) for line in (tmp_path / "data-scientist.log").read_text().splitlines()]
    assert said == [
        {"register": "fraud-scorer", "webhook": "http://laurel", "secret": "s"},
        {"champion": 1, "of": "fraud-scorer"},
    ]


def test_a_program_that_ends_is_reported_with_its_last_words(hire: Hire) -> None:
    scientist = hire(_FAILING)
    scientist.trained()
    with pytest.raises(PermanentError, match="ModuleNotFoundError: sklearn"):
        scientist.make_champion("fraud-scorer", 1)
    scientist._child._process.wait()
    with pytest.raises(PermanentError, match="ModuleNotFoundError: sklearn"):
        scientist.make_champion("fraud-scorer", 1)
