from pathlib import Path

from pipeline.local.output import last_lines, trim


def test_the_last_lines_are_shown(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_text("".join(f"line {n}\n" for n in range(5000)))
    assert last_lines(output, 2) == "line 4998\nline 4999"


def test_no_output_is_empty(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "output") == ""


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"\xff\n")
    assert last_lines(tmp_path / "output") == "\N{REPLACEMENT CHARACTER}"


def test_output_beyond_its_bound_is_emptied_and_appended_to(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("ab") as appending:
        appending.write(bytes((8 << 20) + 1))
        appending.flush()
        trim(output)
        assert output.stat().st_size == 0
        appending.write(b"on")
    assert output.read_bytes() == b"on"
    trim(output)
    trim(tmp_path / "none")
    assert output.read_bytes() == b"on"
