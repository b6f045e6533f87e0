"""Bytes that are yet to be read: what goes into a registry, and the files that go into a layer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

from pipeline.domain.references import Digest


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes on their way into a registry.

    ``chunks`` reads them from the start each time it is called, so that an upload that broke can go
    on; ``size`` is their number, told to the registry beforehand; ``digest`` is theirs where it is
    known, which saves sending what is there.
    """

    chunks: Callable[[], Iterable[bytes]]
    size: int
    digest: Digest | None = None

    @classmethod
    def of(cls, whole: bytes) -> Self:
        """Take bytes at hand."""
        return cls(lambda: (whole,), len(whole), Digest.of(whole))


@dataclass(frozen=True, slots=True)
class File:
    """A file to be: its path without a leading slash, its size in bytes, how to read it."""

    path: str
    size: int
    read: Callable[[], Iterable[bytes]]
    executable: bool = False

    @classmethod
    def of(cls, path: str, content: bytes, *, executable: bool = False) -> "File":
        """Make a file of bytes at hand."""
        return cls(path, len(content), lambda: (content,), executable)


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory to be; only one with a mode of its own, or an empty one, needs saying."""

    path: str
    mode: int = 0o755


Entry = File | Directory
