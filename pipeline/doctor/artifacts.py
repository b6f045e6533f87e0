"""The files of the versions that watched aliases name: listed, and one of them read."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from pipeline.doctor.finding import Finding, bad, ok
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.domain.plan import Plan
from pipeline.domain.references import Alias, ModelVersion
from pipeline.errors import ForbiddenError, StepError
from pipeline.ports import ArtifactStore, ModelRegistry

CHECK = "artifacts"
_DESCRIPTION = "MLmodel"


def examine(
    models: ModelRegistry, store: ArtifactStore, plans: Iterable[Plan]
) -> Iterator[Finding]:
    """Read what MLflow says the version is, as a promotion would; each version once."""
    for model, alias, workspace in sorted({(p.model, p.alias, p.workspace) for p in plans}):
        version = models.alias(Alias(model, alias, workspace))
        if version is not None:
            yield _of_version(ModelVersion(model, version, workspace), models, store)


def _of_version(model: ModelVersion, models: ModelRegistry, store: ArtifactStore) -> Finding:
    check = f"{CHECK} {model}"
    uri = models.version(model).artifact_uri
    scheme = urlsplit(uri).scheme or "file"
    try:
        files = store.files(uri)
        if isinstance(files, Refused):
            return bad(check, files.reason, "log the model again")
        described = [file for file in files if file.path == _DESCRIPTION]
        for file in described:
            _read(store, uri, file)
    except ForbiddenError as error:
        return bad(
            check,
            f"its files ({scheme}:) may not be read: {error.hint}",
            "grant Laurel's MLflow account READ on the experiment that the version comes from, or "
            "give it the store's own credentials",
        )
    except StepError as error:
        return bad(check, f"its files ({scheme}:) cannot be read", error.hint)
    if not described:
        return bad(check, "it has no MLmodel file, so it is no MLflow model", "log it again")
    size = sum(file.size for file in files)
    return ok(check, f"{len(files)} files, {size} bytes, read from {_place(scheme)}")


def _read(store: ArtifactStore, uri: str, file: StoredFile) -> None:
    for _ in store.read(uri, file):
        pass


def _place(scheme: str) -> str:
    return "MLflow's own server" if scheme == "mlflow-artifacts" else f"{scheme}: itself"
