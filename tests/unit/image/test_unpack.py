"""Layers are other people's bytes: unpacking stays inside, whatever they say."""

import contextlib
import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.content import Directory, Entry, File
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, LaurelError, PermanentError
from pipeline.image.blob_file import read_blob
from pipeline.image.tar import tar_stream
from pipeline.image.unpack import unpack_layer
from tests.fakes.tars import entry, tar_of_entries

NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1
)
PARTS = NAMES.filter(
    lambda name: (
        name not in {".", ".."} and not name.startswith(".wh.") and len(name.encode()) < 256
    )
)
TREES = st.dictionaries(
    PARTS, st.dictionaries(PARTS, st.binary(max_size=600), max_size=3), max_size=4
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (tmp_path / "outside").write_text("untouched")
    return folder


def layer(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> list[bytes]:
    return [tar_of_entries(*entries)]


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40, deadline=None)
@given(tree=TREES)
def test_what_was_packed_is_unpacked(
    tree: dict[str, dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    into = tmp_path_factory.mktemp("root")
    entries: list[Entry] = [Directory(folder) for folder in tree]
    entries += [
        File.of(f"{folder}/{name}", content)
        for folder, files in tree.items()
        for name, content in files.items()
    ]
    unpack_layer(tar_stream(entries), into)
    found = {
        folder.name: {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in into.iterdir()
    }
    assert found == tree


def test_modes_are_kept_and_set_id_bits_are_not(root: Path) -> None:
    folder = entry("tmp", tarfile.DIRTYPE, mode=0o1777)
    unpack_layer(layer(folder, entry("tool", mode=0o6755), entry("text", mode=0o600)), root)
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "tool").stat().st_mode & 0o7777 == 0o755
    assert (root / "text").stat().st_mode & 0o7777 == 0o600


def test_owners_are_not_kept(root: Path) -> None:
    info = entry("file")
    info.uid = info.gid = 12345
    unpack_layer(layer(info), root)
    assert (root / "file").stat().st_uid == os.getuid()


def test_a_closed_folder_can_still_be_filled_by_later_layers(root: Path) -> None:
    unpack_layer(layer(entry("folder", tarfile.DIRTYPE, mode=0o555)), root)
    assert (root / "folder").stat().st_mode & 0o777 == 0o755
    unpack_layer(layer(entry("./folder/file")), root)
    assert names(root) == {"folder", "folder/file"}


@pytest.mark.parametrize(
    "hostile",
    [
        entry("../outside"),
        entry("a/../../outside"),
        entry("/outside"),
        entry("zero", tarfile.SYMTYPE, "a\0b"),
        entry("null", tarfile.CHRTYPE),
        entry("disk", tarfile.BLKTYPE),
        entry("pipe", tarfile.FIFOTYPE),
        entry("hard", tarfile.LNKTYPE, "../outside"),
        entry("hard", tarfile.LNKTYPE, "/etc/passwd"),
        entry("hard", tarfile.LNKTYPE, "missing"),
        entry("hard", tarfile.LNKTYPE, "hard"),
        entry(".wh."),
        entry(".wh..."),
    ],
    ids=lambda info: f"{info.name!r}>{info.linkname!r}",
)
def test_hostile_entries_are_refused(root: Path, hostile: tarfile.TarInfo) -> None:
    if "\0" in hostile.linkname:
        hostile.linkname = "x"
        hostile.pax_headers = {"linkpath": "a\0b"}
    with pytest.raises(PermanentError, match="unpack a layer"):
        unpack_layer(layer(hostile), root)
    assert (root.parent / "outside").read_text() == "untouched"
    assert names(root) <= {"a"}


def test_a_name_with_a_zero_byte_is_refused(root: Path) -> None:
    info = entry("x")
    info.pax_headers = {"path": "a\0b"}
    with pytest.raises(PermanentError, match="zero byte"):
        unpack_layer(layer(info), root)


@pytest.mark.parametrize("to", ["..", "/etc", "folder"])
@pytest.mark.parametrize(
    "behind",
    [
        entry("link/outside"),
        entry("link/new", tarfile.DIRTYPE),
        entry("link/.wh.outside"),
        entry("link/.wh..wh..opq"),
        entry("hard", tarfile.LNKTYPE, "link/outside"),
    ],
    ids=lambda info: info.name,
)
@pytest.mark.parametrize("layers", [1, 2])
def test_no_entry_passes_through_a_link(
    root: Path, to: str, behind: tarfile.TarInfo, layers: int
) -> None:
    link = entry("link", tarfile.SYMTYPE, to)
    if layers == 2:
        unpack_layer(layer(link), root)
    with pytest.raises(PermanentError, match="below a link"):
        unpack_layer(layer(link, behind) if layers == 1 else layer(behind), root)
    assert (root.parent / "outside").read_text() == "untouched"


def test_no_entry_passes_through_a_link_that_was_a_folder_before(root: Path) -> None:
    before, link = entry("folder/inner"), entry("folder", tarfile.SYMTYPE, "..")
    with pytest.raises(PermanentError, match="below a link"):
        unpack_layer(layer(before, link, entry("folder/outside")), root)
    assert (root.parent / "outside").read_text() == "untouched"


@pytest.mark.parametrize("to", ["usr/lib", "/usr/lib", "./usr/../usr/lib/", "again", "/opt/up"])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_entry_below_a_link_to_a_folder_inside_lands_in_that_folder(
    root: Path, to: str, layers: int
) -> None:
    below: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]] = [
        entry("usr/lib/", tarfile.DIRTYPE),
        entry("usr/lib/old"),
        entry("again", tarfile.SYMTYPE, "usr/lib"),
        entry("opt/up", tarfile.SYMTYPE, "../usr/lib"),
        entry("lib", tarfile.SYMTYPE, to),
    ]
    above: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]] = [
        (entry("lib/x86_64/new"), b"new"),
        entry("hard", tarfile.LNKTYPE, "lib/x86_64/new"),
        entry("lib/.wh.old"),
    ]
    if layers == 2:
        unpack_layer(layer(*below), root)
        unpack_layer(layer(*above), root)
        assert not (root / "usr/lib/old").exists()
    else:
        unpack_layer(layer(*below, *above), root)
        assert (root / "usr/lib/old").exists()  # a whiteout spares its own layer
    assert (root / "lib").readlink() == Path(to)
    assert (root / "usr/lib/x86_64/new").read_bytes() == b"new"
    assert (root / "hard").samefile(root / "usr/lib/x86_64/new")
    assert (root.parent / "outside").read_text() == "untouched"


@pytest.mark.parametrize(
    "to", ["self", "file", "../root/folder", "folder/../..", "folder/missing", "/../outside"]
)
def test_a_link_that_leads_to_no_folder_inside_is_passed_by_nothing(root: Path, to: str) -> None:
    before = (entry("folder/", tarfile.DIRTYPE), entry("file"), entry("self", tarfile.SYMTYPE, to))
    with pytest.raises(PermanentError, match="below a link that leads to no folder"):
        unpack_layer(layer(*before, entry("self/new")), root)
    assert names(root) == {"folder", "file", "self"}
    assert (root.parent / "outside").read_text() == "untouched"


def test_an_opaque_folder_behind_a_link_is_the_one_that_it_names(root: Path) -> None:
    link = entry("lib", tarfile.SYMTYPE, "usr/lib")
    unpack_layer(layer(entry("usr/lib/old"), entry("usr/kept"), link), root)
    unpack_layer(layer(entry("lib/.wh..wh..opq"), entry("lib/new")), root)
    assert names(root) == {"lib", "usr", "usr/kept", "usr/lib", "usr/lib/new"}


def test_a_folder_replaces_a_link_of_its_name(root: Path) -> None:
    unpack_layer(layer(entry("usr/lib/old"), entry("lib", tarfile.SYMTYPE, "usr/lib")), root)
    unpack_layer(layer(entry("lib/", tarfile.DIRTYPE), entry("lib/new")), root)
    assert names(root) == {"lib", "lib/new", "usr", "usr/lib", "usr/lib/old"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_below_dev_are_left_to_whoever_mounts_there(root: Path, kind: bytes) -> None:
    unpack_layer(layer(entry("dev/null", kind), entry("dev/kept")), root)
    assert names(root) == {"dev", "dev/kept"}
    with pytest.raises(PermanentError, match="neither a file"):
        unpack_layer(layer(entry("device/null", kind)), root)


LINKED = st.sampled_from(["a", "b", "a/c", "b/c", "a/c/d"])
TARGETS = st.sampled_from(
    ["a", "b", "/a", "/b/c", "..", "../..", "../outside", "/outside", ".", "/", "../a", "c", "/a/c"]
)
STEPS = st.one_of(
    st.tuples(LINKED, st.just(tarfile.SYMTYPE), TARGETS),
    st.tuples(LINKED, st.just(tarfile.DIRTYPE), st.just("")),
    st.tuples(LINKED, st.just(tarfile.REGTYPE), st.just("")),
    st.tuples(LINKED, st.just(tarfile.LNKTYPE), LINKED),
    st.tuples(LINKED.map(lambda name: f"{name}/.wh..wh..opq"), st.just(b"0"), st.just("")),
    st.tuples(LINKED.map(lambda name: f"{name}/.wh.outside"), st.just(b"0"), st.just("")),
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_no_row_of_links_and_entries_leads_outside(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes, str]]
) -> None:
    folder = tmp_path_factory.mktemp("links")
    into = folder / "root"
    into.mkdir()
    (folder / "outside").write_text("untouched")
    for name, kind, to in steps:  # each a layer of its own, so that a refusal does not hide others
        with contextlib.suppress(LaurelError):
            unpack_layer(layer((entry(name, kind, to), b"mine" * (kind == b"0"))), into)
    assert sorted(path.name for path in folder.iterdir()) == ["outside", "root"]
    assert (folder / "outside").read_text() == "untouched"
    assert (folder / "outside").stat().st_nlink == 1


def test_an_entry_below_a_file_is_refused(root: Path) -> None:
    with pytest.raises(PermanentError, match="below a link or a file"):
        unpack_layer(layer(entry("file"), entry("file/inner")), root)


def test_a_hard_link_to_a_link_is_refused(root: Path) -> None:
    link, hard = (
        entry("link", tarfile.SYMTYPE, "../outside"),
        entry("hard", tarfile.LNKTYPE, "link"),
    )
    with pytest.raises(PermanentError, match="hard link"):
        unpack_layer(layer(link, hard), root)


def test_links_inside_are_kept_as_they_are(root: Path) -> None:
    target = (entry("bin/python3.11", mode=0o755), b"elf")
    soft = entry("bin/python3", tarfile.SYMTYPE, "python3.11")
    hard = entry("bin/python", tarfile.LNKTYPE, "bin/python3.11")
    unpack_layer(layer(target, soft, hard), root)
    assert (root / "bin/python3").readlink() == Path("python3.11")
    assert (root / "bin/python").samefile(root / "bin/python3.11")


def test_a_link_is_replaced_and_never_written_through(root: Path) -> None:
    unpack_layer(layer(entry("file", tarfile.SYMTYPE, "../outside")), root)
    unpack_layer(layer((entry("file"), b"mine")), root)
    assert (root / "file").read_bytes() == b"mine"
    assert not (root / "file").is_symlink()
    assert (root.parent / "outside").read_text() == "untouched"


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
@pytest.mark.parametrize("before", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_the_last_of_two_entries_of_a_name_counts(root: Path, before: bytes, kind: bytes) -> None:
    unpack_layer(layer(entry("x", before, "there"), entry("y", before, "there")), root)
    unpack_layer(layer(entry("x", kind, "elsewhere"), entry("./", tarfile.DIRTYPE)), root)
    mode = (root / "x").lstat().st_mode
    assert mode >> 12 == {tarfile.REGTYPE: 8, tarfile.DIRTYPE: 4, tarfile.SYMTYPE: 10}[kind]


def test_a_whiteout_removes_what_a_lower_layer_had(root: Path) -> None:
    unpack_layer(layer((entry("a/file"), b"1"), entry("a/folder/inner"), entry("a/kept")), root)
    unpack_layer(layer(entry("a/.wh.file"), entry("a/.wh.folder"), entry("a/.wh.never")), root)
    assert names(root) == {"a", "a/kept"}


def test_a_whiteout_spares_what_its_own_layer_has(root: Path) -> None:
    unpack_layer(layer(entry("folder/old"), entry("file")), root)
    unpack_layer(
        layer(entry("folder/new"), entry(".wh.folder"), entry("file"), entry(".wh.file")), root
    )
    assert names(root) == {"folder", "folder/new", "file"}


@pytest.mark.parametrize("first", [True, False], ids=["marker first", "marker last"])
def test_an_opaque_folder_hides_all_of_the_lower_layers(root: Path, first: bool) -> None:  # noqa: FBT001 - parametrised
    unpack_layer(layer(entry("a/old"), entry("a/sub/old"), entry("b")), root)
    marker, content = entry("a/.wh..wh..opq"), entry("a/sub/new")
    unpack_layer(layer(*((marker, content) if first else (content, marker))), root)
    assert names(root) == {"a", "a/sub", "a/sub/new", "b"}


def test_bookkeeping_of_old_unions_is_no_content(root: Path) -> None:
    unpack_layer(layer(entry(".wh..wh.plnk")), root)
    assert names(root) == set()


def test_the_stream_is_read_to_its_end_so_that_its_digest_is_checked(root: Path) -> None:
    [content] = layer((entry("file"), b"text"))
    blob = root.parent / "blob"
    blob.write_bytes(content + b"appended")
    with pytest.raises(CorruptedError, match="not those of"):
        unpack_layer(read_blob(blob, Digest.of(content)), root)


def test_empty_chunks_mean_nothing(root: Path) -> None:
    def cut() -> Iterator[bytes]:
        [content] = layer((entry("file"), bytes(5000)))
        for at in range(0, len(content), 700):
            yield content[at : at + 700]
            yield b""

    unpack_layer(cut(), root)
    assert (root / "file").read_bytes() == bytes(5000)


@pytest.mark.parametrize("broken", [b"", b"no tar at all" * 99, b"\x1f\x8b" + bytes(600)])
def test_bytes_that_are_no_tar_are_corrupted(root: Path, broken: bytes) -> None:
    with pytest.raises(CorruptedError, match="no whole tar"):
        unpack_layer([broken], root)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_memory_is_refused(root: Path, kind: bytes) -> None:
    header = entry("x", kind)
    header.size = 1 << 40
    with pytest.raises(CorruptedError, match="a header is too long"):
        unpack_layer([header.tobuf(tarfile.GNU_FORMAT), bytes(1 << 16)], root)


def test_a_tar_that_ends_early_is_corrupted(root: Path) -> None:
    [content] = layer((entry("file"), bytes(100_000)))
    with pytest.raises(CorruptedError):
        unpack_layer([content[:50_000]], root)


def test_a_full_disk_says_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.image.unpack.shutil.copyfileobj", full)
    with pytest.raises(PermanentError, match="the disk is full: make room"):
        unpack_layer(layer((entry("file"), b"text")), root)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_never_raise_anything_unexpected(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    long = (entry("d/" + "n" * 120), b"text")
    [content] = layer(long, entry("s", tarfile.SYMTYPE, "t"), entry("h", tarfile.LNKTYPE, "d"))
    hostile = bytearray(content)
    for at, value in flips:
        hostile[at % len(hostile)] = value
    folder = tmp_path_factory.mktemp("flipped") / "root"
    folder.mkdir()
    with contextlib.suppress(LaurelError):
        unpack_layer([bytes(hostile)], folder)
    assert [path.name for path in folder.parent.iterdir()] == ["root"]


def header(kind: bytes, body: bytes, name: str = "h") -> bytes:
    """Write what stands before an entry, as nobody's tar does."""
    info = entry(name, kind)
    info.size = len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


LAST = header(tarfile.REGTYPE, b"", "f") + bytes(1024)


@pytest.mark.parametrize("first", [b"", header(tarfile.REGTYPE, b"", "sound")])
@pytest.mark.parametrize(
    "nonsense",
    [
        header(tarfile.XHDTYPE, b"22 GNU.sparse.map=1,x\n"),
        header(tarfile.XHDTYPE, b"99999999999999999999 path=x\n"),
        header(tarfile.XHDTYPE, b"9 path=x\n") * 3000,
        header(tarfile.GNUTYPE_LONGNAME, b"name\0") * 3000,
    ],
    ids=["no number", "an endless number", "headers without end", "names without end"],
)
def test_a_header_that_makes_no_sense_is_damage(root: Path, first: bytes, nonsense: bytes) -> None:
    with pytest.raises(CorruptedError, match="no whole tar"):
        unpack_layer([first + nonsense + LAST], root)


def test_folders_are_as_deep_as_whoever_walks_them_can_go(root: Path) -> None:
    unpack_layer(layer(entry("a/" * 256 + "f")), root)
    shutil.rmtree(root / "a")


def test_an_image_whose_folders_nobody_could_remove_is_refused(root: Path) -> None:
    with pytest.raises(PermanentError, match="more than 256 folders deep"):
        unpack_layer(layer(entry("a/" * 1500 + "f")), root)
    folders = [
        entry("a/" * 200 + "f"),
        entry("b", tarfile.SYMTYPE, "a/" * 200),
        entry("b/" + "c/" * 200 + "f"),
    ]
    with pytest.raises(PermanentError, match="more than 256 folders deep"):
        unpack_layer(layer(*folders), root)
    one_by_one = [entry("d/" * depth, tarfile.DIRTYPE, mode=0o755) for depth in range(1, 300)]
    with pytest.raises(PermanentError, match="more than 256 folders deep"):
        unpack_layer(layer(*one_by_one), root)
    shutil.rmtree(root)
