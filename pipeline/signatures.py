"""The signature of a model version, read from its own MLmodel: what it takes and answers."""

from typing import Any

import yaml

from pipeline.domain.evidence import Refused, StoredFile, Unknown
from pipeline.domain.mlmodel import signature
from pipeline.domain.references import ModelVersion
from pipeline.errors import LaurelError, TransientError
from pipeline.ports import ArtifactStore, ModelRegistry

_MLMODEL = "MLmodel"
_LARGEST = 1 << 20


class PlainYaml(yaml.SafeLoader):
    """YAML as MLflow writes it, without merge keys: nine lines of them can fill any memory."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge nothing, so that ``<<`` cannot be constructed and is an error."""


def read_yaml(text: str) -> Any:  # noqa: ANN401 - whatever a stranger wrote there
    """Read YAML of a stranger's; ``yaml.YAMLError``, ``ValueError`` or ``RecursionError``."""
    return yaml.load(text, PlainYaml)  # noqa: S506 - a SafeLoader


def signature_of(
    model: ModelVersion, *, registry: ModelRegistry, store: ArtifactStore
) -> str | Unknown | None:
    """Read a version's signature as JSON; ``None`` where its MLmodel has none.

    ``Unknown`` where nobody can tell: the version or its files are gone, damaged or not for us to
    read. What may be there in a moment is raised, as a ``TransientError``.
    """
    try:
        uri = registry.version(model).artifact_uri
        files = store.files(uri)
        if isinstance(files, Refused):
            return Unknown(files.reason)
        return _declared(uri, files, store)
    except TransientError:
        raise
    except LaurelError as error:
        return Unknown(str(error))


def _declared(
    uri: str, files: tuple[StoredFile, ...], store: ArtifactStore
) -> str | Unknown | None:
    for file in files:
        if file.path == _MLMODEL and file.size <= _LARGEST:
            content = b"".join(store.read(uri, file))
            try:
                return signature(read_yaml(content.decode()))
            except (ValueError, RecursionError, yaml.YAMLError):
                return Unknown(f"its {_MLMODEL} cannot be read")
    return Unknown(f"it has no {_MLMODEL}")
