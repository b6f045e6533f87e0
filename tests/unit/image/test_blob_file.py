"""Blobs on disk: named by what they are, whole or absent."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, ForbiddenError, NotFoundError, PermanentError
from pipeline.image.blob_file import disk, read_blob, write_blob, write_file


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_a_blob_has_its_digest_for_a_name_and_cannot_be_written_to(
    tmp_path: Path, scratch: Path
) -> None:
    blob = write_blob([b"con", b"", b"tent"], tmp_path, scratch=scratch)
    assert write_blob([b"content"], tmp_path, scratch=scratch) == blob
    assert blob == Blob(Digest.of(b"content"), 7)
    path = tmp_path / blob.digest.hex
    assert b"".join(read_blob(path, blob.digest)) == b"content"
    assert path.stat().st_mode & 0o777 == 0o444
    assert not list(scratch.iterdir())


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise CorruptedError("read", "it", "it ended")

    with pytest.raises(CorruptedError):
        write_blob(broken(), tmp_path, scratch=scratch)
    assert list(tmp_path.iterdir()) == [scratch]
    assert not list(scratch.iterdir())


def test_other_bytes_than_the_digest_names_are_noticed_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"tampered")
    with pytest.raises(CorruptedError, match="remove it"):
        list(read_blob(tmp_path / "blob", Digest.of(b"content")))


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, scratch: Path) -> None:
    for content in (b"long content", b"short"):
        write_file(tmp_path / "file", content, scratch=scratch)
    assert (tmp_path / "file").read_bytes() == b"short"
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("code", "error", "hint"),
    [
        (errno.ENOSPC, PermanentError, "the disk is full: make room below .*, then retry"),
        (errno.EDQUOT, PermanentError, "the disk is full"),
        (errno.EACCES, ForbiddenError, "give the user that runs Laurel access"),
        (errno.ENOENT, NotFoundError, "build the image again"),
        (errno.EROFS, PermanentError, "Read-only file system: mend that"),
    ],
)
def test_what_the_system_refuses_says_what_to_do(
    tmp_path: Path, code: int, error: type[PermanentError], hint: str
) -> None:
    with pytest.raises(error, match=hint), disk("store a layer", tmp_path):
        raise OSError(code, os.strerror(code))
