"""Layers that took minutes to make, kept on this machine: made once, linked into every registry.

::

    <root>/blobs/sha256/<hex>   the layers
    <root>/keys/<hex of key>    which layer a key stands for
    <root>/where/<hex of key>   the repository that it last went to, for each registry
    <root>/work/<hex>.<random>  where one is being made
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.domain.references import Digest, names_registry, require_repository
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, InvalidReferenceError
from pipeline.image.blob_file import disk, write_blob, write_file
from pipeline.image.canonical import LIMIT, canonical, read_texts
from pipeline.ports import ImageRegistry

Make = Callable[[Path], Iterator[bytes]]
"""Makes a layer, using the empty folder given; the folder is gone when the stream has ended."""


class LayerStore:
    """A cache folder; losing it, or any file in it, costs time and nothing else.

    Parameters
    ----------
    root
        The folder, private to the user; made where it does not exist. On the registry's file
        system layers are linked, else copied.

    """

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._keys = root / "keys"
        self._where = root / "where"
        self._work = root / "work"
        with disk("make the layer cache", root):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self._blobs, self._keys, self._where, self._work):
                folder.mkdir(parents=True, exist_ok=True)

    def provide(self, key: str, make: Make, repository: str, *, registry: ImageRegistry) -> Blob:
        """Put the layer that ``key`` stands for into ``repository``; make it if nobody has.

        Of several processes that ask for one key at a time, one makes the layer.
        """
        name = hashlib.sha256(key.encode()).hexdigest()
        with self._locked(name):
            blob = self._provided(name, make, repository, registry)
            self._note(name, repository)
        return blob

    def _provided(self, name: str, make: Make, repository: str, registry: ImageRegistry) -> Blob:
        known = self._known(name)
        if known and (there := registry.blob(repository, known)):
            return there
        if known and (mounted := self._mount(name, known, repository, registry)):
            return mounted
        if known and (kept := self._push_kept(known, repository, registry)):
            return kept
        made = self._make(name, make)
        return registry.push_file(repository, self._blobs / made.hex, made)

    def _mount(
        self, name: str, digest: Digest, repository: str, registry: ImageRegistry
    ) -> Blob | None:
        """Take the layer over from the repository of this registry that it last went to."""
        source = self._places(name).get(_host(repository))
        return registry.mount(repository, digest, source) if source else None

    def _places(self, name: str) -> dict[str, str]:
        """Recall the last repository for each registry; what cannot be read was nowhere."""
        try:
            with (self._where / name).open("rb") as file:
                places = read_texts(json.loads(file.read(LIMIT)))
            return {host: require_repository(place) for host, place in places.items()}
        except (OSError, ValueError, TypeError):
            return {}

    def _note(self, name: str, repository: str) -> None:
        places = self._places(name)
        there = {**places, _host(repository): repository}
        if names_registry(repository) and there != places:  # a layout shares what it has anyway
            write_file(self._where / name, canonical(there), scratch=self._work)

    def _push_kept(self, digest: Digest, repository: str, registry: ImageRegistry) -> Blob | None:
        path = self._blobs / digest.hex
        if not path.exists():
            return None
        try:
            return registry.push_file(repository, path, digest)
        except CorruptedError:  # it can be made again, so nobody needs to look
            path.unlink()
            return None

    def _known(self, name: str) -> Digest | None:
        try:
            return Digest((self._keys / name).read_text("ascii"))
        except (FileNotFoundError, InvalidReferenceError, UnicodeDecodeError):
            return None

    def _make(self, name: str, make: Make) -> Digest:
        with self._folder(name) as folder:
            tree = folder / "tree"
            with disk("make a layer", folder):
                tree.mkdir()
            made = write_blob(make(tree), self._blobs, scratch=folder)
            write_file(self._keys / name, made.digest.value.encode(), scratch=folder)
        return made.digest

    @contextmanager
    def _folder(self, name: str) -> Iterator[Path]:
        """Give a fresh folder; what a killed process left for the same key goes first."""
        with disk("make a layer", self._work):
            for left in self._work.glob(f"{name}.*"):
                shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self._work))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with disk("lock the layer cache", self._keys):
            lock = (self._keys / f"{name}.lock").open("ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.utime(lock.fileno())  # when the layer was used last: cache_limit.py goes by it
            yield


def _host(repository: str) -> str:
    return repository.partition("/")[0]
