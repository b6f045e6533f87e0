"""``base: host``: this host's own Python as the layer that images stand on.

The embedded default, for a machine with nothing else: two hosts with the same files give the same
digest, two distributions do not.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.adapters.host_python import LIBRARIES, PREFIX, PYTHON, HostFile, host_files, portable
from pipeline.adapters.layer_store import LayerStore
from pipeline.domain.content import Directory, Entry
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Base, Layer
from pipeline.errors import ConfigurationError
from pipeline.image.canonical import canonical
from pipeline.image.config import host_platform
from pipeline.image.tar import tar_stream, tree_entries
from pipeline.ports import ImageRegistry

_FORMAT = 1
_ETC = {
    "etc/passwd": b"root:x:0:0::/:/sbin/nologin\nlaurel:x:65532:65532::/tmp:/sbin/nologin\n",
    "etc/group": b"root:x:0:\nlaurel:x:65532:\n",
    "etc/hosts": b"127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}
_ENV = {"LD_LIBRARY_PATH": LIBRARIES, "PATH": f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin"}
# Where container engines, and Laurel's own, mount: a read-only root cannot grow them later.
_PLACES: tuple[Entry, ...] = (
    Directory("dev"),
    Directory("proc"),
    Directory("sys"),
    Directory("tmp", 0o1777),
)


class HostBase:
    """Implements :class:`pipeline.ports.BaseImages` for ``host``; the base's digest is its layer's.

    Parameters
    ----------
    store
        Keeps the layer, so that it is made once per state of the host's files.

    """

    def __init__(self, store: LayerStore) -> None:
        self._store = store
        self._listed: tuple[tuple[HostFile, ...], str | None] = ((), None)

    def provide(
        self,
        base: str,  # noqa: ARG002 - there is one host
        repository: str,
        *,
        platform: str,
        python_version: str,
        registry: ImageRegistry,
    ) -> Base | Refused:
        """Put the host's Python into ``repository``."""
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        if (platform, python_version) != (host_platform(), here):
            return Refused(
                f"base: host is Python {here} for {host_platform()}, wanted is Python "
                f"{python_version} for {platform}: name an image that has it as base:"
            )
        files = self._files()
        blob = self._store.provide(
            _key(files), lambda folder: _layer(files, folder), repository, registry=registry
        )
        layer = Layer.plain(blob)
        return Base(layer.diff_id, (layer,), PYTHON, _ENV)

    def _files(self) -> tuple[HostFile, ...]:
        """List the host's files; asking the dynamic linker anew only when one of them changed."""
        files, state = self._listed
        if state is None or _state(files) != state:
            files = host_files()
            self._listed = (files, _state(files))
        return files


def _state(files: tuple[HostFile, ...]) -> str | None:
    """Tell whether a file was changed, added or removed; ``None`` where one is gone just now."""
    try:
        folders = {file.source.parent for file in files}
        changed = sorted((str(folder), folder.stat().st_mtime_ns) for folder in folders)
        return canonical([_key(files), changed]).decode()
    except FileNotFoundError:
        return None


def _key(files: tuple[HostFile, ...]) -> str:
    """Tell whether a file changed without reading 70 MB: as ``make`` does."""
    states = [(file, file.source.stat()) for file in files]
    listed = [
        [file.path, str(file.source), state.st_size, state.st_mtime_ns] for file, state in states
    ]
    return canonical(["base: host", _FORMAT, sys.version, listed]).decode()


def _layer(files: tuple[HostFile, ...], folder: Path) -> Iterator[bytes]:
    for path, content in _ETC.items():
        _write(folder / path, content, executable=False)
    for file in files:
        _write(folder / file.path, portable(file), executable=file.executable)
    _compile(folder)
    yield from tar_stream([*tree_entries(folder), *_PLACES])


def _write(path: Path, content: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)


def _compile(folder: Path) -> None:
    """Add bytecode that is used as it is: images are read-only and start twice as fast with it.

    Unchecked, because no time of a file is kept; one process and a fixed hash seed, because
    marshalling depends on both.
    """
    command = [sys.executable, "-s", "-S", "-m", "compileall", "-q", "-j", "1"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/"]
    ran = subprocess.run(
        [*command, str(folder / PREFIX.lstrip("/"))],
        env={"PATH": os.defpath, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise ConfigurationError(
            "base: host: the standard library does not compile, reinstall Python: "
            + ran.stdout[-500:]
        )
