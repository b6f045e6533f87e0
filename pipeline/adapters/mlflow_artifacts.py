"""Where MLflow keeps a model version's files (``ports.ArtifactStore``), by the URI's scheme."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.adapters.local_artifacts import LocalArtifacts
from pipeline.adapters.mlflow_proxy import ProxiedArtifacts
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import PermanentError


class MlflowArtifacts:
    """Files on this machine (path, ``file:``) or behind MLflow's proxy (``mlflow-artifacts:``)."""

    def __init__(self, rest: MlflowRest) -> None:
        self._proxied = ProxiedArtifacts(rest)
        self._local = LocalArtifacts()

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root, sorted by path; refuse names that lead out of it."""
        return self._store(artifact_uri).files(artifact_uri)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file; ``CorruptedError`` where its length is not the listed one."""
        return self._store(artifact_uri).read(artifact_uri, file)

    def _store(self, artifact_uri: str) -> LocalArtifacts | ProxiedArtifacts:
        scheme = urlsplit(artifact_uri).scheme
        if scheme == "mlflow-artifacts":
            return self._proxied
        if scheme == "file" or artifact_uri.startswith("/"):
            return self._local
        raise PermanentError(
            "find the model's files",
            f"{scheme or 'relative'} artifact URI",
            "Laurel reads mlflow-artifacts:, file: and absolute paths; "
            "start MLflow with --serve-artifacts until direct object storage is supported",
        )
