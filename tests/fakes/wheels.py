"""Small wheels made by tests, and the locks that name them: no package index is asked."""

import base64
import csv
import hashlib
import io
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.domain.evidence import Lock
from pipeline.domain.references import Digest

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TINY = {
    "tiny/__init__.py": b'NAMES = {"a", "b", "c", "d", "e"}\nANSWER = 42\n',
    "tiny/in_set.py": b'def known(name):\n    return name in {"x", "y", "z", "ab", "cd", "ef"}\n',
    "tiny/template.py": b"{{ no python }}\n",
    "tiny/data.bin": bytes(range(256)),
}


def write_wheel(
    folder: Path, name: str = "tiny", files: Mapping[str, bytes] = TINY, version: str = "1.0"
) -> Path:
    """Write a wheel of these files, with a script."""
    info = f"{name}-{version}.dist-info"
    every = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    record = io.StringIO()
    rows = [(path, _recorded(content), len(content)) for path, content in every.items()]
    csv.writer(record, lineterminator="\n").writerows([*rows, (f"{info}/RECORD", "", "")])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in {**every, f"{info}/RECORD": record.getvalue().encode()}.items():
            archive.writestr(zipfile.ZipInfo(inside), content)
    return path


def lock_of(wheels: Iterable[Path], runtime: str = "mlflow", python_version: str = MINOR) -> Lock:
    """Lock these wheels, as uv writes a lock."""
    lines = []
    for wheel in sorted(wheels):
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")
    text = "".join(lines)
    return Lock(text, Digest.of(text.encode()), runtime, python_version)


def _recorded(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"
