import json
import logging
import warnings
from collections.abc import Iterator

import pytest

from pipeline import logs


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """Give logging back to pytest as it was."""
    root, dbos = logging.getLogger(), logging.getLogger("dbos")
    before = (root.handlers[:], root.level, dbos.handlers[:])
    root.handlers = []
    yield
    root.handlers, root.level, dbos.handlers = before
    logging.captureWarnings(capture=False)


def fail() -> None:
    raise KeyError("missing")


Written = pytest.CaptureFixture[str]


def test_a_line_for_programs_tells_what_it_is_about(capsys: Written) -> None:
    logs.to_stderr(as_json=True)
    about = {"promotion": "p-1", "service": "fraud"}
    logging.getLogger("pipeline.worker").info("promotion %s", "begins", extra=about)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("+00:00")
    said = {"level": "info", "logger": "pipeline.worker", "message": "promotion begins"}
    assert line == said | about


def test_a_fault_is_one_line_for_programs(capsys: Written) -> None:
    logs.to_stderr(as_json=True)
    try:
        fail()
    except KeyError:
        logging.getLogger("x").exception("broke")
    (line,) = capsys.readouterr().err.splitlines()
    assert "KeyError: 'missing'" in json.loads(line)["exception"]


def test_a_line_for_people_has_time_service_and_what_happened_and_why(capsys: Written) -> None:
    logs.to_stderr(as_json=False)
    logging.getLogger("x").info("promotion begins", extra={"service": "fraud"})
    logging.getLogger("x").warning("not readable", extra={"why": "MLflow is away"})
    first, second = capsys.readouterr().err.splitlines()
    assert first.split()[1:] == ["fraud", "promotion", "begins"]
    assert "laurel" in second
    assert "not readable: MLflow is away" in second


def test_what_a_model_prints_moves_no_terminal_and_makes_no_line(capsys: Written) -> None:
    logs.to_stderr(as_json=False)
    said = "smoke failed: \x1b[2J\x9b1A\r12:00:00  fraud  promotion succeeded\nand more"
    logging.getLogger("x").info("promotion %s", said, extra={"why": "\x1b]0;title\x07"})
    broke = UserWarning(said)
    logging.getLogger("x").error("broke", exc_info=broke)
    first, _coloured_by_us, *trace = capsys.readouterr().err.splitlines()
    assert "promotion smoke failed:" in first
    assert all(line.isprintable() for line in (first, *trace))
    assert all(line.startswith("  ") for line in trace)


def test_a_fault_shows_people_where(capsys: Written) -> None:
    logs.to_stderr(as_json=False)
    try:
        fail()
    except KeyError:
        logging.getLogger("x").exception("broke")
    assert "Traceback" in capsys.readouterr().err


def test_libraries_tell_their_warnings_alone(capsys: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.to_stderr(as_json=True)
        logging.getLogger("uvicorn.error").info("Started server process")
        logging.getLogger("dbos").warning("slow")
        warnings.warn("old", UserWarning, stacklevel=1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["logger"] for line in lines] == ["dbos", "py.warnings"]
