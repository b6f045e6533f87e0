"""Images as folders: a content-addressed cache of unpacked file systems.

A tree is named by its chain ID (image-spec, config.md): the digest of a layer on top of all below
it. So images share what they stand on, hard-linked; a tree appears complete, by one rename, or not
at all.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.domain.content import Content
from pipeline.domain.oci import Descriptor, Layer
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import NotFoundError
from pipeline.image.blob_file import checked
from pipeline.image.config import ImageConfig, parse_config
from pipeline.image.layers import layers_of, tar_of
from pipeline.image.manifest import parse_manifest
from pipeline.image.unpack import unpack_layer
from pipeline.local.processes import MOUNT_POINTS
from pipeline.local.users import register
from pipeline.ports import ImageRegistry

_WORTH_KEEPING = 16 << 20  # bytes; a smaller layer is unpacked again sooner than its tree is linked


@dataclass(frozen=True, slots=True)
class Rootfs:
    """An image ready to run: its file system, and what its configuration says."""

    path: Path
    config: ImageConfig


class RootfsCache:
    """Unpacks images from a registry; many processes may share the folder.

    Trees are written by Laurel alone: servers see them read-only and as somebody else's.

    Parameters
    ----------
    folder
        Where trees are kept; one file system, since layers are shared by hard links.
    registry
        Where images come from; every layer is checked against its digest as it is read, and a
        compressed one, as foreign bases have them, against its diffID too.

    """

    def __init__(self, folder: Path, registry: ImageRegistry) -> None:
        folder = folder.resolve()  # launch.py has another working directory
        self._trees = folder / "trees"
        self._work = folder / "work"
        self._lock = folder / "lock"
        self._registry = registry
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # models are their owner's
        self._trees.mkdir(exist_ok=True)

    def provide(self, image: ImageRef) -> Rootfs:
        """Return the image's file system, unpacking what is not there yet."""
        content = self._registry.manifest(image.repository, image.digest.value)
        if content is None:
            raise NotFoundError(
                "unpack an image", str(image), "the registry has no such manifest: build it again"
            )
        manifest = parse_manifest(content)
        config = parse_config(b"".join(self._read(image.repository, manifest.config)))
        # Trees are found by diffIDs and made of layers: each layer is held against its diffID.
        layers, chain = layers_of(manifest, config.diff_ids), chain_ids(config.diff_ids)
        tree = self._trees / chain[-1].hex
        if not _used(tree):
            with self._locked():
                if not _used(tree):
                    self._unpack(image.repository, layers, chain)
        return Rootfs(tree, config)

    def serve(self, state: Path) -> None:
        """Know the folder of a serving target: what its servers run on is never evicted."""
        register(self._trees.parent, state)

    def _unpack(
        self, repository: str, layers: tuple[Layer, ...], chain: tuple[Digest, ...]
    ) -> None:
        there = [number for number, id_ in enumerate(chain, 1) if self._tree(id_).exists()]
        done = max(there, default=0)
        work = self._work / "tree"
        if done:
            link_tree(self._tree(chain[done - 1]), work)
        else:
            work.mkdir()
            work.chmod(0o755)
        for layer, id_ in zip(layers[done:], chain[done:], strict=True):
            unpack_layer(tar_of(layer, self._read(repository, layer.descriptor)), work)
            if layer.descriptor.size >= _WORTH_KEEPING and id_ != chain[-1]:
                kept = self._work / "kept"
                link_tree(work, kept)
                kept.rename(self._tree(id_))
        for name in MOUNT_POINTS:
            _make_folder(work / name)
        work.rename(self._tree(chain[-1]))

    def _read(self, repository: str, blob: Descriptor) -> Iterator[bytes]:
        """Stream a blob, and not a chunk more than the manifest names: registries may lie."""
        read = partial(self._registry.read_blob, repository, blob.digest)
        return checked(Content(read, blob.size))

    def _tree(self, chain_id: Digest) -> Path:
        return self._trees / chain_id.hex

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(self._work, ignore_errors=True)  # what a crash left half done
            self._work.mkdir()
            yield
            shutil.rmtree(self._work)


def chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    """Name each stack of layers from the bottom up (image-spec, config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        below = f"{chain[-1]} {diff_id}".encode() if chain else b""
        chain.append(Digest.of(below) if chain else diff_id)
    return tuple(chain)


def _used(tree: Path) -> bool:
    """Tell whether a tree is there, and note that it is used: the least recently used go first."""
    try:
        os.utime(tree)
    except FileNotFoundError:
        return False
    return True


def _make_folder(place: Path) -> None:
    """Make a place to mount over: a link there would lead who mounts out of the image."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
        place.mkdir()


def link_tree(source: Path, target: Path) -> None:
    """Copy a tree by hard links; directories and links are made anew."""
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                link_tree(Path(entry.path), target / entry.name)
            else:
                os.link(entry.path, target / entry.name, follow_symlinks=False)
    target.chmod(source.stat().st_mode & 0o7777)
