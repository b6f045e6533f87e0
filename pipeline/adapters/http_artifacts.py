"""Model files below an ``http(s)`` root (``ports.ArtifactStore``): MLflow's artifact API, by URL.

MLflow itself can list no other web folder: the root must lie below
``…/api/2.0/mlflow-artifacts/artifacts`` of some server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from pipeline.adapters.artifact_listing import ATTEMPTED
from pipeline.adapters.mlflow_proxy import API, ProxiedArtifacts
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import ForbiddenError, PermanentError, UnavailableError

_STRANGER = (
    "the artifact root names this server, which is not mlflow.url and so is sent no credentials: "
    "let MLflow's --default-artifact-root be mlflow-artifacts:/"
)
_SILENT = (
    "the server that the artifact root names does not answer: start it, "
    "or let MLflow's --default-artifact-root be mlflow-artifacts:/"
)


class HttpArtifacts:
    """Reads from ``mlflow.url`` with its credentials; from any other server without, no links."""

    def __init__(self, rest: MlflowRest, proxied: ProxiedArtifacts) -> None:
        self._rest = rest
        self._proxied = proxied

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root."""
        with self._store(artifact_uri) as (store, root):
            return store.files(root)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file; ``CorruptedError`` where its length is not the listed one."""
        with self._store(artifact_uri) as (store, root):
            yield from store.read(root, file)

    @contextmanager
    def _store(self, artifact_uri: str) -> Iterator[tuple[ProxiedArtifacts, str]]:
        """Lend what reads the root's server, and the root as that server names it."""
        parts = urlsplit(artifact_uri)
        prefix, api, path = parts.path.partition(API)
        if not api or path[:1] not in {"", "/"} or "@" in parts.netloc:
            raise PermanentError(
                ATTEMPTED,
                f"an {parts.scheme}: artifact URI",
                f"MLflow reads such roots below {API} alone, and Laurel takes no credentials from "
                "them: let --default-artifact-root be mlflow-artifacts:/ or a store",
            )
        root = f"mlflow-artifacts:{path or '/'}"
        if self._rest.serves(f"{parts.scheme}://{parts.netloc}{prefix}"):
            yield self._proxied, root
            return
        rest = MlflowRest(f"{parts.scheme}://{parts.netloc}{prefix}")
        store = ProxiedArtifacts(rest, links=False)
        try:
            yield store, root
        except ForbiddenError as error:
            raise ForbiddenError(
                ATTEMPTED, f"{parts.netloc}, {error.subject}", _STRANGER
            ) from error
        except UnavailableError as error:
            raise UnavailableError(
                ATTEMPTED, f"{parts.netloc}, {error.subject}", _SILENT
            ) from error
        finally:
            store.close()
            rest.close()
