"""Model files behind MLflow's artifact proxy, ``mlflow-artifacts:/…`` (``--serve-artifacts``)."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pipeline.adapters.artifact_listing import (
    ATTEMPTED,
    leads_out,
    listed,
    other_length,
    require_inside,
    too_much,
)
from pipeline.adapters.mlflow_rest import MlflowRest, accepted
from pipeline.adapters.presigned_artifacts import PresignedArtifacts, Stored
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import NotFoundError, PermanentError, StepError, UnavailableError
from pipeline.image.model_files import DEEPEST, MOST

API = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20
_ODD = frozenset("/\\\0")
_LONGEST_NUMBER = 19  # digits of what fits into 64 bits


class ProxiedArtifacts:
    """Lists and streams through the MLflow server, whatever store it has behind it.

    Where the server hands out links into that store, large files are read there, and every file if
    it sends nothing itself.

    Parameters
    ----------
    links
        Whether to go where the server's links lead. Not for a server that only a model names: its
        links would have Laurel read what Laurel alone can reach, credentials of its machine too.

    """

    def __init__(self, rest: MlflowRest, *, links: bool = True) -> None:
        self._rest = rest
        self._presigned = PresignedArtifacts(rest) if links else None

    def close(self) -> None:
        """Close every connection but MLflow's."""
        if self._presigned is not None:
            self._presigned.close()

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file, folder by folder; the API tells sizes, and no checksums."""
        root = self._root(artifact_uri)
        found: list[StoredFile] = []
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry in self._entries(root, folder):
                name = str(entry.get("path", ""))
                if name in {"", ".", ".."} or not _ODD.isdisjoint(name):
                    return leads_out(name)
                if entry.get("is_dir"):
                    folders.append(f"{folder}{name}/")
                else:
                    found.append(StoredFile(folder + name, _size(entry.get("file_size", 0))))
            if folder.count("/") > DEEPEST or len(found) > MOST:
                return too_much()
        return listed(found)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream a listed file, by a link where the server gives one."""
        require_inside(file.path)
        root = self._root(artifact_uri)
        stored = Stored(quote(f"{root}/{file.path}"), _workspace(root), file)
        if self._presigned is not None:
            by_link = yield from self._presigned.stream(stored)
            if by_link:
                return
        try:
            yield from self._proxied(stored)
        except UnavailableError as error:
            if self._is_gone(root, file):  # MLflow before S3, and an early one, say 500 then
                raise NotFoundError(ATTEMPTED, file.path, "MLflow lists it no more") from error
            raise

    def _proxied(self, stored: Stored) -> Iterator[bytes]:
        """Stream through the server; one before S3 cuts answers off silently (mlflow#8104)."""
        file = stored.file
        length = 0
        with self._rest.open(
            "GET",
            f"{API}/{stored.path}",
            stored.workspace,
            attempted=ATTEMPTED,
            subject=file.path,
        ) as response:
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise NotFoundError(
                    ATTEMPTED, file.path, f"MLflow answers {response.status}; was it deleted?"
                )
            for chunk in response.stream(_CHUNK, decode_content=True):
                length += len(chunk)
                if length > file.size:
                    break
                yield chunk
        if length != file.size:
            raise other_length(file)

    def _is_gone(self, root: str, file: StoredFile) -> bool:
        folder, slash, name = file.path.rpartition("/")
        try:
            return all(entry.get("path") != name for entry in self._entries(root, folder + slash))
        except StepError:
            return False

    def _entries(self, root: str, folder: str) -> list[dict[str, Any]]:
        subject = folder or "the model's folder"
        answer = self._rest.get(
            API,
            {"path": f"{root}/{folder}".rstrip("/")},
            _workspace(root),
            attempted=ATTEMPTED,
            subject=subject,
        )
        told = accepted(answer, attempted=ATTEMPTED, subject=subject)
        entries = told.get("files", [])
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise _no_listing()
        return entries

    def _root(self, artifact_uri: str) -> str:
        parts = urlsplit(artifact_uri)
        if parts.netloc not in {"", self._rest.host}:
            raise PermanentError(
                ATTEMPTED,
                "an artifact URI that names another server",
                "Laurel sends its credentials to mlflow.url alone; "
                "let MLflow's --default-artifact-root name no host",
            )
        return unquote(parts.path).strip("/")


def _size(said: object) -> int:
    """Read a size, which MLflow writes as a text; any server may have said it."""
    digits = str(said)
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _LONGEST_NUMBER):
        raise _no_listing()
    return int(digits)


def _no_listing() -> PermanentError:
    return PermanentError(
        ATTEMPTED, "the model's folder", "its server answers with something else than a listing"
    )


def _workspace(root: str) -> str:
    """Tell the workspace by MLflow's layout, ``workspaces/<name>/…``; none: ``""``."""
    first, _, rest = root.partition("/")
    return rest.partition("/")[0] if first == "workspaces" else ""
