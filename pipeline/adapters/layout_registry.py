"""The embedded image registry: one OCI image layout folder (image-spec, image-layout.md).

``index.json`` names every manifest by ``org.opencontainers.image.ref.name``: its digest as
``<repository>@sha256:…``, and each tag as ``<repository>:<tag>``. Blobs are shared by all
repositories. Several processes may write at once: the index changes under a lock, as a whole.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_INDEX, Descriptor
from pipeline.domain.references import Digest, require_repository
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, InvalidReferenceError
from pipeline.image.blob_file import checked, disk, read_blob, sync_folder, write_blob, write_file
from pipeline.image.canonical import LIMIT
from pipeline.image.layout_sweep import Swept, named_by, sweep_blobs, used
from pipeline.image.manifest import index_bytes, parse_index
from pipeline.image.referrers import as_referrer, fallback_tag, parse_referrers, with_referrer

_REF_NAME = "org.opencontainers.image.ref.name"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_LARGEST_INDEX = 64 << 20  # bytes; a list of ours, some 40,000 promotions long
_ABANDONED = 86400.0  # seconds; nobody writes that long to one file without touching it


class LayoutRegistry:
    """Images in a folder; implements :class:`pipeline.ports.ImageRegistry`.

    Parameters
    ----------
    root
        The folder; made where it does not exist. Tools like ``skopeo`` read it as ``oci:<root>``.

    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._blobs = root / "blobs" / "sha256"
        self._uploads = root / ".uploads"
        self._index = root / "index.json"
        with disk("make an image layout", root):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._uploads.mkdir(exist_ok=True)
            self._remove_abandoned_uploads()
        with self._locked():
            if not self._index.exists():
                self._write_index({})
                self._write(root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def blob(self, repository: str, digest: Digest) -> Blob | None:
        """Tell whether a blob is there; one that was asked for is not swept for a day."""
        require_repository(repository)
        found = used(self._blobs / digest.hex)
        return None if found is None else Blob(digest, found.st_size)

    def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
        """Stream a blob; ``CorruptedError`` at its end where the bytes are not the digest's."""
        require_repository(repository)
        return read_blob(self._blobs / digest.hex, digest)

    def push_blob(self, repository: str, content: Content) -> Blob:
        """Store a stream; durable when this returns."""
        require_repository(repository)
        if content.digest and (present := self.blob(repository, content.digest)):
            return present
        return write_blob(checked(content), self._blobs, scratch=self._uploads)

    def push_file(self, repository: str, path: Path, digest: Digest) -> Blob:
        """Store a local file, by a hard link on the same file system, else by a copy.

        The file is read once, so that a cache that went bad is noticed here.
        """
        require_repository(repository)
        if present := self.blob(repository, digest):
            return present
        for _ in read_blob(path, digest):
            pass
        try:
            os.utime(path)  # the link is the same file: it must not come as an old one
            os.link(path, self._blobs / digest.hex)
        except FileExistsError:  # somebody else was faster; the digest says it is the same
            pass
        except OSError:  # another file system, or one without links
            return write_blob(read_blob(path, digest), self._blobs, scratch=self._uploads)
        with disk("store a layer", self._blobs):
            sync_folder(self._blobs)
            return Blob(digest, path.stat().st_size)

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        """Find the blob: all repositories of a layout share theirs."""
        require_repository(source)
        return self.blob(repository, digest)

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Read a manifest by digest or tag; what the index says of a digest is not believed."""
        found = self._read_index().get(_name(repository, reference))
        if found is None:
            return None
        return self._read(Digest(reference) if reference.startswith("sha256:") else found.digest)

    def push_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        """Store a manifest; one about another image is listed among that one's referrers too."""
        digest = self._push_bytes(repository, content)
        found = Descriptor(media_type, digest, len(content))
        with self._locked():
            index = self._read_index()
            for reference in (digest.value, tag):
                if reference:
                    index[_name(repository, reference)] = found
            if about := as_referrer(content, media_type):
                self._list_referrer(index, repository, *about)
            self._write_index(index)
        return digest

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """List the manifests about this image, from the index under the fallback tag."""
        return parse_referrers(self.manifest(repository, fallback_tag(digest)))

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the tags of a repository, sorted."""
        prefix = f"{require_repository(repository)}:"
        names = (name for name in self._read_index() if name.startswith(prefix))
        return tuple(sorted(name.removeprefix(prefix) for name in names))

    def delete(self, repository: str, digest: Digest) -> None:
        """Take a manifest and its tags out of the index; its bytes go when nothing names them."""
        mine = (f"{require_repository(repository)}:", f"{repository}@")
        with self._locked():
            index = self._read_index()
            kept = {
                name: found
                for name, found in index.items()
                if found.digest != digest or not name.startswith(mine)
            }
            if kept != index:
                self._write_index(kept)

    def stored(self, repository: str) -> dict[Digest, datetime]:
        """List the manifests of a repository, with when each was stored or asked for last."""
        prefix = f"{require_repository(repository)}@"
        names = (name for name in self._read_index() if name.startswith(prefix))
        paths = {digest: self._blobs / digest.hex for digest in map(_digest_in, names)}
        with disk("read the image layout", self._blobs):
            return {
                digest: datetime.fromtimestamp(path.stat().st_mtime, UTC)
                for digest, path in paths.items()
                if path.exists()
            }

    def sweep(self, *, older_than: float = _ABANDONED) -> Swept:
        """Remove blobs that nothing names and nobody looked for in the last ``older_than`` seconds.

        Whoever pushes has a day from the first blob of an image to its manifest.
        """
        with self._locked():
            with disk("read the image layout", self._index):
                index = self._index.read_bytes()
            named = named_by(index, self._blobs, limit=_LARGEST_INDEX)
            return sweep_blobs(self._blobs, named, aside=self._uploads, older_than=older_than)

    def _list_referrer(
        self, index: dict[str, Descriptor], repository: str, subject: Digest, listed: Descriptor
    ) -> None:
        name = _name(repository, fallback_tag(subject))
        before = index.get(name)
        content = with_referrer(self._read(before.digest) if before else None, listed)
        index[name] = Descriptor(IMAGE_INDEX, self._push_bytes(repository, content), len(content))

    def _read(self, digest: Digest) -> bytes:
        """Read a manifest or an index, unless it is larger than any may be."""
        path = self._blobs / digest.hex
        with disk("read a manifest", path):
            size = path.stat().st_size
        if size > LIMIT:
            raise CorruptedError(
                "read a manifest", digest.value, f"it has {size} bytes: build the image again"
            )
        return b"".join(read_blob(path, digest))

    def _push_bytes(self, repository: str, content: bytes) -> Digest:
        return self.push_blob(repository, Content.of(content)).digest

    def _read_index(self) -> dict[str, Descriptor]:
        with disk("read the image layout", self._index):
            listed = parse_index(self._index.read_bytes(), _LARGEST_INDEX)
        return {found.annotations.get(_REF_NAME, found.digest.value): found for found in listed}

    def _write_index(self, index: dict[str, Descriptor]) -> None:
        named = (replace(found, annotations={_REF_NAME: name}) for name, found in index.items())
        self._write(self._index, index_bytes(tuple(named)))

    def _write(self, path: Path, content: bytes) -> None:
        write_file(path, content, scratch=self._uploads)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with disk("lock the image layout", self._root):
            lock = (self._root / ".lock").open("ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, or by a crash
            yield

    def _remove_abandoned_uploads(self) -> None:
        for upload in self._uploads.iterdir():
            try:
                if time.time() - upload.stat().st_mtime > _ABANDONED:
                    upload.unlink()
            except FileNotFoundError:  # another process ended, or removed, it
                continue


def _digest_in(name: str) -> Digest:
    return Digest(name.rpartition("@")[2])


def _name(repository: str, reference: str) -> str:
    require_repository(repository)
    if reference.startswith("sha256:"):
        return f"{repository}@{Digest(reference)}"
    if not _TAG.match(reference):
        raise InvalidReferenceError(f"{reference[:80]!r} is not a tag: use letters, digits, . _ -")
    return f"{repository}:{reference}"
