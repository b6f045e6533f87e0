"""Where MLflow keeps a model version's files (``ports.ArtifactStore``), by the URI's scheme."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.adapters.http_artifacts import HttpArtifacts
from pipeline.adapters.local_artifacts import LocalArtifacts
from pipeline.adapters.mlflow_client_artifacts import MlflowClientArtifacts
from pipeline.adapters.mlflow_proxy import ProxiedArtifacts
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.adapters.s3_artifacts import S3Artifacts
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import PermanentError
from pipeline.ports import ArtifactStore

_NO_STORE = frozenset({"", "models", "runs"})


class MlflowArtifacts:
    """Files on this machine, behind MLflow, in S3, and wherever else MLflow's own client reads."""

    def __init__(self, rest: MlflowRest) -> None:
        self._local = LocalArtifacts()
        self._proxied = ProxiedArtifacts(rest)
        self._client = MlflowClientArtifacts()
        http = HttpArtifacts(rest, self._proxied)
        self._stores: dict[str, ArtifactStore] = {
            "file": self._local,
            "http": http,
            "https": http,
            "mlflow-artifacts": self._proxied,
            "s3": S3Artifacts(),
        }

    def close(self) -> None:
        """Close connections, and end the processes that MLflow's client runs in."""
        self._proxied.close()
        self._client.close()

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root, sorted by path; refuse names that lead out of it."""
        return self._store(artifact_uri).files(artifact_uri)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file; ``CorruptedError`` where its length is not the listed one."""
        return self._store(artifact_uri).read(artifact_uri, file)

    def _store(self, artifact_uri: str) -> ArtifactStore:
        if artifact_uri.startswith("/"):
            return self._local
        try:
            scheme = urlsplit(artifact_uri).scheme
        except ValueError:  # brackets without an address between them
            scheme = ""
        if scheme in _NO_STORE:
            raise PermanentError(
                "find the model's files",
                f"{scheme or 'relative'} artifact URI",
                "Laurel reads absolute paths, file:, mlflow-artifacts:, s3:, http(s): and what "
                "MLflow's own client reads; start MLflow with an absolute --artifacts-destination",
            )
        return self._stores.get(scheme, self._client)
