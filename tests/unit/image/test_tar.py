"""Layers are pure functions of their entries."""

import hashlib
import io
import os
import tarfile
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.content import Directory, Entry, File
from pipeline.errors import CorruptedError
from pipeline.image.tar import CHUNK, tar_stream, tree_entries

ENTRIES: list[Entry] = [
    File.of("opt/laurel/serve", b"#!", executable=True),
    File.of("mnt/models/MLmodel", b"flavors: {}\n"),
    Directory("tmp", 0o1777),
]


def tar_of(entries: list[Entry]) -> bytes:
    return b"".join(tar_stream(entries))


def test_the_bytes_are_the_same_for_ever() -> None:
    # A change here changes the digest of every image: raise version_key.FORMAT with it.
    assert hashlib.sha256(tar_of(ENTRIES)).hexdigest() == (
        "556e88640245b4ecd48ba1e483ac7ff5ac8513652624c834384219ac45d868c8"
    )


def test_the_order_in_which_entries_come_means_nothing() -> None:
    assert all(tar_of(list(order)) == tar_of(ENTRIES) for order in permutations(ENTRIES))


def test_nothing_of_the_builder_is_in_the_headers() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(ENTRIES))) as archive:
        members = archive.getmembers()
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.name: m.mode for m in members} == {
        "mnt": 0o755,
        "mnt/models": 0o755,
        "mnt/models/MLmodel": 0o644,
        "opt": 0o755,
        "opt/laurel": 0o755,
        "opt/laurel/serve": 0o755,
        "tmp": 0o1777,
    }


def test_parents_come_before_what_lies_in_them() -> None:
    with tarfile.open(
        fileobj=io.BytesIO(tar_of([File.of("a/b/c", b""), File.of("a-", b"")]))
    ) as tar:
        assert tar.getnames() == ["a", "a-", "a/b", "a/b/c"]


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 999))
def test_how_a_file_is_cut_into_chunks_means_nothing(content: bytes, cut: int) -> None:
    pieces = [content[i : i + cut] for i in range(0, len(content), cut)]
    cut_up = File("file", len(content), lambda: iter(pieces))
    assert tar_of([cut_up]) == tar_of([File.of("file", content)])


def test_large_files_pass_in_chunks_of_a_mebibyte() -> None:
    size = 5 * CHUNK + 3
    file = File(
        "weights", size, lambda: (bytes(min(CHUNK, size - at)) for at in range(0, size, CHUNK))
    )
    chunks = [len(chunk) for chunk in tar_stream([file])]
    assert max(chunks) < 2 * CHUNK
    assert len(chunks) <= 7
    assert sum(chunks) % 512 == 0


@pytest.mark.parametrize("content", [b"shor", b"longer"])
def test_a_file_of_another_size_than_listed_is_noticed(content: bytes) -> None:
    with pytest.raises(CorruptedError, match="should have 5 bytes"):
        tar_of([File("file", 5, lambda: [content])])


def test_a_folder_gives_the_same_layer_whatever_its_times_modes_and_mask(tmp_path: Path) -> None:
    for name, mode, time in (("one", 0o600, 1), ("two", 0o664, 999)):
        folder = tmp_path / name / "package"
        folder.mkdir(parents=True)
        for path in (folder / "module.py", folder / "empty"):
            path.write_bytes(b"x = 1\n" if path.suffix else b"")
            path.chmod(mode)
            os.utime(path, (time, time))
        (folder / "void").mkdir(mode=0o700)
    one, two = (tar_of(list(tree_entries(tmp_path / name, "opt"))) for name in ("one", "two"))
    assert one == two


def test_what_the_owner_may_execute_stays_executable(tmp_path: Path) -> None:
    for name, mode in (("tool", 0o700), ("text", 0o666)):
        (tmp_path / name).write_bytes(b"")
        (tmp_path / name).chmod(mode)
    found = {
        entry.path: entry.executable for entry in tree_entries(tmp_path) if isinstance(entry, File)
    }
    assert found == {"tool": True, "text": False}
