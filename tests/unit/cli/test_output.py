import io
import sys

import click
import pytest

from pipeline.cli.exits import Laurel
from pipeline.cli.output import Table, plain, show


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_are_aligned_for_grep_and_empty_cells_dashed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(None, Table(("name", "n"), [("fraud", 1), ("x", None), ("", 22)]), as_json=False)
    assert capsys.readouterr().out == "NAME   N\nfraud  1\nx      -\n-      22\n"


def test_tables_without_rows_are_left_out_after_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, none = Table(("a",), [("1",)]), Table(("b",), [])
    show(None, one, none, one, as_json=False)
    assert capsys.readouterr().out == "A\n1\n\nA\n1\n"


def test_a_table_without_rows_shows_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show(None, Table(("id", "service"), []), as_json=False)
    assert capsys.readouterr().out == "ID  SERVICE\n"


def test_names_cannot_move_a_terminal_s_cursor() -> None:
    assert plain("fraud\x1b[2J\nmodel") == "fraud [2J model"


def test_a_coloured_cell_leaves_no_blanks_at_the_end_of_its_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(None, Table(("what", "is"), [("phase", "failed"), ("model", "scorer/12")]), as_json=False)
    assert "phase  failed\n" in capsys.readouterr().out


def coloured(monkeypatch: pytest.MonkeyPatch) -> str:
    """Print a table on a terminal."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show(None, Table(("phase", "model"), [("failed", "[red]x"), ("odd", "")]), as_json=False)
    return terminal.getvalue()


def test_on_a_terminal_a_phase_has_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coloured(monkeypatch) == "PHASE   MODEL\n\x1b[31mfailed\x1b[0m  [red]x\nodd     -\n"


def test_colour_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    @click.command()
    def verb() -> None:
        shown.append(coloured(monkeypatch))

    shown: list[str] = []
    Laurel(commands={"verb": verb}).main(["verb"], standalone_mode=False)
    assert shown == ["PHASE   MODEL\nfailed  [red]x\nodd     -\n"]
