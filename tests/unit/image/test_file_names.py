"""The interpreters of a base are found as its shell would find them, without unpacking it."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from pipeline.image import file_names
from pipeline.image.file_names import FileNames
from tests.fakes.tars import entry, tar_of_entries

SEARCH = "/usr/local/bin:/usr/bin:/bin"
LINK, FOLDER, HARD = tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE


def run(name: str) -> tarfile.TarInfo:
    return entry(name, mode=0o755)


def found(*layers: list[tarfile.TarInfo], search: str = SEARCH) -> dict[str, str]:
    names = FileNames()
    for layer in layers:
        names.apply([tar_of_entries(*layer)])
    return names.pythons(search)


def test_every_minor_version_on_the_path_is_found_where_it_is_found_first() -> None:
    files = ["usr/bin/python3.11", "usr/bin/python3.9", "usr/local/bin/python3.11", "bin/python3.8"]
    others = ["usr/bin/python3", "usr/bin/python3.11-config", "opt/bin/python3.12"]
    assert found([run(name) for name in files + others]) == {
        "3.11": "/usr/local/bin/python3.11",
        "3.9": "/usr/bin/python3.9",
        "3.8": "/bin/python3.8",
    }


@pytest.mark.parametrize("to", ["../../opt/py/python3.11", "/opt/py/python3.11", "there"])
def test_a_link_is_followed_inside_the_image(to: str) -> None:
    layer = [
        entry("usr/bin/python3.11", LINK, to),
        entry("usr/bin/there", LINK, "/opt/link/../py/python3.11"),
        entry("opt/link", LINK, "py"),
        run("opt/py/python3.11"),
    ]
    assert found(layer) == {"3.11": "/usr/bin/python3.11"}


@pytest.mark.parametrize("to", ["missing", "python3.11", "/usr/bin", "/etc/file/x", ""])
def test_a_link_to_nothing_that_runs_is_no_interpreter(to: str) -> None:
    assert found([entry("usr/bin/python3.11", LINK, to), entry("etc/file")]) == {}


def test_what_nobody_else_may_run_is_no_interpreter() -> None:
    private, folder = entry("usr/bin/python3.11", mode=0o750), entry("usr/bin/python3.10", FOLDER)
    assert found([private, folder, entry("usr/bin/python3.9", tarfile.FIFOTYPE, mode=0o755)]) == {}


def test_a_hard_link_is_what_it_names() -> None:
    hard = entry("usr/bin/python3.11", HARD, "usr/bin/real")
    assert found([run("usr/bin/real"), hard]) == {"3.11": "/usr/bin/python3.11"}
    assert found([entry("usr/bin/real"), hard]) == {}


def test_later_layers_write_through_links_to_folders() -> None:
    merged = [entry("usr/bin/", FOLDER), entry("bin", LINK, "usr/bin")]
    assert found(merged, [run("bin/python3.11")]) == {"3.11": "/usr/bin/python3.11"}


def test_a_whiteout_hides_what_lower_layers_have_and_not_its_own() -> None:
    below = [run("usr/bin/python3.11"), run("usr/bin/python3.10")]
    assert found(below, [entry("usr/bin/.wh.python3.11")]) == {"3.10": "/usr/bin/python3.10"}
    above = [run("usr/bin/python3.12"), entry("usr/bin/.wh..wh..opq")]
    assert found(below, above) == {"3.12": "/usr/bin/python3.12"}
    assert found(below, [entry(".wh.usr"), entry(".wh.never"), entry("no/.wh.where")]) == {}


def test_what_replaces_a_folder_hides_what_was_in_it() -> None:
    below = [run("usr/bin/python3.11")]
    assert found(below, [entry("usr/bin", LINK, "/opt")]) == {}
    assert found(below, [entry("usr/bin", FOLDER)]) == {"3.11": "/usr/bin/python3.11"}
    assert found(below, [entry("usr/bin")], [run("usr/bin/python3.12")]) == {}


@pytest.mark.parametrize("search", ["", "usr/bin", ".", "/nowhere:/usr/bin/python3.11"])
def test_only_folders_by_their_whole_path_are_searched(search: str) -> None:
    assert found([run("usr/bin/python3.11")], search=search) == {}


def test_a_slash_more_in_the_path_names_the_same_folder() -> None:
    assert found([run("usr/bin/python3.11")], search="//usr/bin/") == {
        "3.11": "//usr/bin/python3.11"
    }


def test_a_base_of_endless_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_names, "_MOST_NAMES", 3)
    two = [run("a"), run("b")]
    assert found(two) == {}
    with pytest.raises(PermanentError, match="more than 3 files: choose another base"):
        found(two, two)


NAMES = st.sampled_from(
    ["a", "b", "a/b", "a/b/c", "b/a", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "."]
)
KINDS = st.sampled_from([tarfile.REGTYPE, FOLDER, LINK, HARD])
TARGETS = st.sampled_from(["a", "../a", "/a/b", "b", "..", "/", "."])


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(NAMES, KINDS, TARGETS), max_size=6), max_size=3))
def test_whatever_layers_say_an_answer_comes(layers: list[list[tuple[str, bytes, str]]]) -> None:
    entries = [[entry(name, kind, to) for name, kind, to in layer] for layer in layers]
    assert found(*entries, search="/a:/b:/a/b:/") == {}
