import signal
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.demo import run, stage
from pipeline.demo.installation import Installation
from pipeline.demo.narrator import Narrator
from pipeline.demo.observed import Observed
from pipeline.demo.processes import Child
from pipeline.demo.stage import _down, _interruptible, _perform, _print_plan, _stay
from pipeline.demo.story import Story
from pipeline.errors import PermanentError
from tests.unit.demo.seen_story import WELL, with_promotion


class _Told:
    """A story that was told already, well or not."""

    def __init__(self, observed: Observed, trouble: str | None = None) -> None:
        self._observed = observed
        self._trouble = trouble

    def tell(self) -> None:
        if self._trouble is not None:
            raise PermanentError("tell", "the story", self._trouble)

    def check(self) -> None:
        """Everything was looked at."""

    def observed(self) -> Observed:
        return self._observed


def _installation(folder: Path, no_isolation: str | None = None) -> Installation:
    return Installation(folder, 1, 2, 3, no_isolation)


def _performed(told: _Told, folder: Path) -> bool:
    (folder / "laurel.log").write_text("the last words\n")
    story = cast("Story", told)
    return _perform(story, _installation(folder), Narrator(), as_json=False)


def test_a_story_that_went_well_is_reported_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _performed(_Told(WELL), tmp_path)
    said = capsys.readouterr()
    assert "✗" not in said.out
    assert said.err == ""


def test_what_did_not_happen_is_named_with_the_end_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _performed(_Told(with_promotion(3, phase="errored")), tmp_path)
    said = capsys.readouterr().err
    assert "this did not happen: a rollback by hand" in said
    assert "the last words" in said


def test_trouble_after_all_claims_held_is_still_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _performed(_Told(WELL, "MLflow went away"), tmp_path)
    assert "MLflow went away" in capsys.readouterr().err


def test_the_plan_says_where_model_code_is_not_isolated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _print_plan(Narrator(), _installation(tmp_path, "no user namespaces"))
    isolated = capsys.readouterr().err
    assert "NO ISOLATION" in isolated
    assert "no user namespaces" in isolated
    _print_plan(Narrator(), _installation(tmp_path))
    assert "NO ISOLATION" not in capsys.readouterr().err


def test_staying_up_says_where_to_click_and_ends_with_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.demo.stage.time.sleep", interrupt)
    _stay(_installation(tmp_path), Narrator())
    assert "http://127.0.0.1:1/#/models/fraud-scorer" in capsys.readouterr().err


def test_servers_that_could_not_be_ended_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _down(_installation(tmp_path), Narrator())  # there is no laurel.yaml
    assert "did not end what serves: laurel:" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_of_being_told_to_end_interrupts_until_everything_goes_down(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    with _interruptible() as ignore:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        ignore()
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_a_laurel_that_does_not_start_ends_the_demo_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders: list[Path] = []

    def brief(name: str, program: str) -> Any:  # noqa: ANN401 - stands in for three starts
        def start(folder: Path, *_: object) -> Child:
            folders.append(folder)
            return Child(name, [sys.executable, "-c", program], folder)

        return start

    monkeypatch.setattr(stage, "start_mlflow", brief("mlflow", "import time; time.sleep(60)"))
    monkeypatch.setattr(stage, "DataScientist", brief("scientist", ""))
    broken = brief("laurel", "raise SystemExit('the key does not open')")
    monkeypatch.setattr(Installation, "up", lambda self: broken(self.folder))
    assert run(keep=False, json=False) == 1
    said = capsys.readouterr().err
    assert "could not start (laurel)" in said
    assert "the key does not open" in said
    assert said.endswith("taking everything down\n")
    assert not folders[0].exists()
