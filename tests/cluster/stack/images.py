"""Images without a builder: a static program, and what it is told, as layers of a scratch image.

The same program with the same knobs is the same digest, whoever pushes it and whenever.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import urllib3

_OCI = "application/vnd.oci.image"
_NOBODY = "65532"


class PushError(Exception):
    """The registry did not take an image."""


@dataclass(frozen=True)
class Images:
    """A registry that asks nobody who they are, by ``host:port``."""

    registry: str

    def push(
        self, name: str, program: str, entrypoint: str, files: Mapping[str, str] | None = None
    ) -> str:
        """Push ``repository:tag``; return the image by digest.

        The program is a layer of its own, so that its variants cost a few hundred bytes each.
        """
        layers = [_layer(program, entrypoint)]
        if files:
            layers.append(_tar({path: text.encode() for path, text in files.items()}))
        configuration = _json(_configuration(layers, entrypoint))
        repository, _, tag = name.rpartition(":")
        for blob in (*layers, configuration):
            self._blob(repository, blob)
        manifest = _json(_manifest(layers, configuration))
        headers = {"Content-Type": f"{_OCI}.manifest.v1+json"}
        self._ask("PUT", f"{repository}/manifests/{tag}", manifest, headers)
        return f"{self.registry}/{repository}@{_digest(manifest)}"

    def _blob(self, repository: str, blob: bytes) -> None:
        digest = _digest(blob)
        if self._ask("HEAD", f"{repository}/blobs/{digest}", missing=True).status == 200:
            return
        place = self._ask("POST", f"{repository}/blobs/uploads/").headers["Location"]
        sign = "&" if "?" in place else "?"
        headers = {"Content-Type": "application/octet-stream"}
        self._ask("PUT", f"{place}{sign}digest={digest}", blob, headers)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        missing: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        url = path if path.startswith("http") else f"http://{self.registry}/v2/{path}"
        answer = urllib3.request(method, url, body=body, headers=headers, timeout=30, retries=False)
        if answer.status >= 400 and not (missing and answer.status == 404):
            raise PushError(f"{method} {url}: {answer.status} {answer.data[:500]!r}")
        return answer


@cache
def _layer(program: str, entrypoint: str) -> bytes:
    return _tar({entrypoint: Path(program).read_bytes()})


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _configuration(layers: Sequence[bytes], entrypoint: str) -> dict[str, object]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}
    return {
        "architecture": machine.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [entrypoint], "User": _NOBODY},
        "rootfs": {"type": "layers", "diff_ids": list(map(_digest, layers))},
    }


def _manifest(layers: Sequence[bytes], configuration: bytes) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _descriptor(f"{_OCI}.config.v1+json", configuration),
        "layers": [_descriptor(f"{_OCI}.layer.v1.tar", layer) for layer in layers],
    }


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(said: object) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
