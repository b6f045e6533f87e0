"""Model files wherever MLflow's own client reads them (``ports.ArtifactStore``): gs, dbfs and more.

The client runs in a process of its own, with that store's credentials and no others. It can only
write whole files: each lies in a private temporary folder while it is read.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.adapters.artifact_listing import (
    ATTEMPTED,
    listed,
    other_length,
    require_inside,
    too_much,
)
from pipeline.adapters.mlflow_client_errors import translated
from pipeline.adapters.mlflow_client_process import ClientProcess, Gone, environment_for
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import PermanentError, UnavailableError
from pipeline.image.model_files import DEEPEST, MOST

_CHUNK = 1 << 20
_LISTING = 300.0  # seconds
_SLOWEST = 1 << 18  # bytes a second


class MlflowClientArtifacts:
    """Lists and reads through processes that are kept while they are in use.

    Parameters
    ----------
    environment
        Where the credentials stand; this process's own by default.

    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._idle: dict[str, list[ClientProcess]] = {}
        self._using = threading.Lock()

    def close(self) -> None:
        """End the processes that nobody uses."""
        with self._using:
            for processes in self._idle.values():
                for process in processes:
                    process.end()
            self._idle.clear()

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root; a store that tells no sizes cannot be read safely."""
        scheme = urlsplit(artifact_uri).scheme
        question = {"uri": artifact_uri, "deepest": DEEPEST, "most": MOST}
        answer = self._answer(scheme, question, "the model's folder", _LISTING)
        if "endless" in answer:
            return too_much()
        if any(size is None for _, size in answer["files"]):
            raise PermanentError(
                ATTEMPTED, f"{scheme}: files", "MLflow's client tells no sizes for this store"
            )
        return listed(StoredFile(path, size) for path, size in answer["files"])

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file once it is here; ``CorruptedError`` where its length is another."""
        require_inside(file.path)
        question = {"uri": artifact_uri, "path": file.path, "size": file.size}
        seconds = _LISTING + file.size / _SLOWEST
        answer = self._answer(urlsplit(artifact_uri).scheme, question, file.path, seconds)
        path = Path(answer["file"])
        with path.open("rb", buffering=0) as stream:
            path.unlink()  # whatever happens to this process, it does not stay
            path.parent.rmdir()
            if os.fstat(stream.fileno()).st_size != file.size:
                raise other_length(file)
            while chunk := stream.read(_CHUNK):
                yield chunk

    def _answer(
        self, scheme: str, question: Mapping[str, Any], subject: str, seconds: float
    ) -> dict[str, Any]:
        try:
            answer = self._asked(scheme, question, seconds)
        except Gone as error:
            raise UnavailableError(
                ATTEMPTED,
                f"{scheme}: {subject}",
                f"MLflow's client ended, or gave no answer in {seconds:.0f} s",
            ) from error
        if "failed" in answer:
            raise translated(answer["failed"], scheme, subject)
        return answer

    def _asked(self, scheme: str, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Ask an idle process, or a new one: an idle one may just have ended by itself."""
        while True:
            with self._using:
                idle = self._idle.setdefault(scheme, [])
                used = idle.pop() if idle else None
            process = used or ClientProcess(environment_for(scheme, self._environment))
            try:
                answer = process.ask(question, seconds)
            except Gone:
                if used is None:
                    raise
            else:
                with self._using:
                    idle.append(process)
                return answer
