"""Describe: list the model's files, and read the small ones that say what it is and needs.

Safe to repeat: it only reads. The digests of what was read are kept; the build streams every file
once more and refuses what changed in between.
"""

from collections.abc import Mapping
from dataclasses import replace

import yaml

from pipeline.domain.evidence import (
    CheckedModel,
    DescribedModel,
    ModelDescription,
    Refused,
    StoredFile,
)
from pipeline.domain.mlmodel import describe as describe_mlmodel
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, NotFoundError
from pipeline.ports import ArtifactStore
from pipeline.signatures import read_yaml

_DESCRIBING = frozenset({"MLmodel", "python_env.yaml", "requirements.txt"})
_EXAMPLE = "serving_input_example.json"
_LARGEST = 1 << 20


def describe(checked: CheckedModel, *, store: ArtifactStore) -> DescribedModel | Refused:
    """List the version's files and read what they say of it.

    Refused: files that were deleted or are links, and a model that does not say what it is (no
    ``MLmodel``, no pyfunc flavor) or what it needs (no ``requirements.txt``).
    """
    subject, artifact_uri = str(checked.resolved.model), checked.resolved.artifact_uri
    try:
        files = store.files(artifact_uri)
    except NotFoundError as error:
        return Refused(f"{subject}: its files are gone ({error.hint}): log the model again")
    if isinstance(files, Refused):
        return Refused(f"{subject}: {files.reason}", files.evidence)
    description = _description(subject, artifact_uri, files, store)
    if isinstance(description, Refused):
        return description
    return DescribedModel(checked, files, description)


def _description(
    subject: str, artifact_uri: str, files: tuple[StoredFile, ...], store: ArtifactStore
) -> ModelDescription | Refused:
    read: dict[str, bytes] = {}
    for file in files:
        if file.path in _DESCRIBING and file.size > _LARGEST:
            return Refused(f"{subject}: {file.path} has {file.size} bytes; MLflow writes a few KiB")
        if file.path in _DESCRIBING or (file.path == _EXAMPLE and file.size <= _LARGEST):
            try:
                read[file.path] = b"".join(store.read(artifact_uri, file))
            except CorruptedError as error:
                return Refused(f"{subject}: {error}")
    if "MLmodel" not in read:
        return Refused(
            f"{subject} has no MLmodel file, so it is no MLflow model: "
            "register what log_model wrote, not a folder of other files"
        )
    try:
        described = _described(subject, read)
    except (ValueError, RecursionError, yaml.YAMLError):
        return Refused(
            f"{subject} has an MLmodel or requirements file that cannot be read: log it again"
        )
    if isinstance(described, Refused):
        return described
    return replace(
        described, digests={path: Digest.of(content).value for path, content in read.items()}
    )


def _described(subject: str, read: Mapping[str, bytes]) -> ModelDescription | Refused:
    texts = {path: content.decode() for path, content in read.items()}
    return describe_mlmodel(
        subject,
        mlmodel=read_yaml(texts["MLmodel"]),
        python_env=read_yaml(texts.get("python_env.yaml", "")),
        requirements=texts.get("requirements.txt", ""),
        example=texts.get(_EXAMPLE),
    )
