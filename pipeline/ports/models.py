"""Where models come from: MLflow's registry, and where their files lie."""

from collections.abc import Iterator
from typing import Protocol

from pipeline.domain.evidence import Refused, StoredFile
from pipeline.domain.references import Alias, ModelVersion
from pipeline.domain.registry import RegisteredVersion


class ModelRegistry(Protocol):
    """MLflow's registered models: the truth about aliases (law 1)."""

    def alias(self, alias: Alias) -> int | None:
        """Read the version that an alias names now; ``None`` where there is no such alias."""

    def aliases(self, workspace: str) -> dict[tuple[str, str], int]:
        """Read every alias of every model: ``{(model, alias): version}``."""

    def version(self, model: ModelVersion) -> RegisteredVersion:
        """Read one version; ``NotFoundError`` where it was deleted."""

    def metrics(self, run_id: str, workspace: str) -> dict[str, float]:
        """Read the latest value of each metric of a run; ``NotFoundError`` where it was deleted."""

    def set_alias(self, alias: Alias, version: int) -> None:
        """Move an alias to a version, as people do."""

    def set_tags(self, model: ModelVersion, tags: dict[str, str]) -> None:
        """Write tags on a version; the same values again change nothing."""


class ArtifactStore(Protocol):
    """Where a model version's files lie."""

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root, sorted by path; links and odd names are refused."""

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file; ``CorruptedError`` where its length is not the listed one."""
