"""Model files behind MLflow's artifact proxy, ``mlflow-artifacts:/…`` (``--serve-artifacts``)."""

from collections.abc import Iterator
from http import HTTPStatus
from operator import attrgetter
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pipeline.adapters.mlflow_rest import MlflowRest, accepted
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import CorruptedError, NotFoundError, PermanentError
from pipeline.image.model_files import DEEPEST, MOST

_API = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20
_ATTEMPTED = "read the model's files"


class ProxiedArtifacts:
    """Lists and streams through the MLflow server, whatever store it has behind it."""

    def __init__(self, rest: MlflowRest) -> None:
        self._rest = rest

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file, folder by folder; the API tells sizes, and no checksums."""
        root = self._root(artifact_uri)
        found: list[StoredFile] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry in self._entries(root, folder):
                name = str(entry.get("path", ""))
                if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
                    return Refused(
                        f"the model's artifacts hold a file named {name[:80]!r}, "
                        "which leads out of its folder: log the model again without it"
                    )
                path = folder + name
                if entry.get("is_dir"):
                    folders.append(path + "/")
                else:
                    found.append(StoredFile(path, int(entry.get("file_size", 0))))
            if folder.count("/") > DEEPEST or len(found) > MOST:
                return Refused(
                    f"the model's artifacts are deeper than {DEEPEST} folders or more than "
                    f"{MOST} files: log the model with less, or pack what belongs together"
                )
        return tuple(sorted(found, key=attrgetter("path")))

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream a listed file; a proxy before S3 cuts answers off silently (mlflow#8104)."""
        if {"", ".", ".."} & set(file.path.split("/")):
            raise CorruptedError(_ATTEMPTED, file.path, "its path leads out of the model's folder")
        root = self._root(artifact_uri)
        length = 0
        with self._rest.open(
            "GET",
            f"{_API}/{quote(f'{root}/{file.path}')}",
            _workspace(root),
            attempted=_ATTEMPTED,
            subject=file.path,
        ) as response:
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise NotFoundError(
                    _ATTEMPTED, file.path, f"MLflow answers {response.status}; was it deleted?"
                )
            for chunk in response.stream(_CHUNK, decode_content=True):
                length += len(chunk)
                if length > file.size:
                    break
                yield chunk
        if length != file.size:
            raise CorruptedError(
                _ATTEMPTED, file.path, f"its length is not the {file.size} bytes of the listing"
            )

    def _entries(self, root: str, folder: str) -> list[dict[str, Any]]:
        subject = folder or "the model's folder"
        answer = self._rest.get(
            _API,
            {"path": f"{root}/{folder}".rstrip("/")},
            _workspace(root),
            attempted=_ATTEMPTED,
            subject=subject,
        )
        told = accepted(answer, attempted=_ATTEMPTED, subject=subject)
        entries: list[dict[str, Any]] = told.get("files", [])
        return entries

    def _root(self, artifact_uri: str) -> str:
        parts = urlsplit(artifact_uri)
        if parts.netloc not in {"", self._rest.host}:
            raise PermanentError(
                _ATTEMPTED,
                "an artifact URI that names another server",
                "Laurel sends its credentials to mlflow.url alone; "
                "let MLflow's --default-artifact-root name no host",
            )
        return unquote(parts.path).strip("/")


def _workspace(root: str) -> str:
    """Tell the workspace by MLflow's layout, ``workspaces/<name>/…``; none: ``""``."""
    first, _, rest = root.partition("/")
    return rest.partition("/")[0] if first == "workspaces" else ""
