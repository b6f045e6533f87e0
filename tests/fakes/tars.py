"""Tars as other people write them, entry by entry."""

import io
import tarfile
from collections.abc import Mapping


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, to: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    """Describe one entry; ``to`` is where a link leads."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, to, mode
    return info


def tar_of_entries(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Write entries in their order, with their content where they have some."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in entries:
            info, content = one if isinstance(one, tuple) else (one, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def executables(files: Mapping[str, bytes]) -> bytes:
    """Write files that anybody may run."""
    return tar_of_entries(*((entry(name, mode=0o755), text) for name, text in files.items()))
