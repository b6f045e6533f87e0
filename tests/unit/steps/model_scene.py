"""A recorded MLflow model on this machine, and a registry that knows it, for the early steps."""

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.adapters.local_artifacts import LocalArtifacts
from pipeline.domain.evidence import CheckedModel, DescribedModel, Refused, ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import Alias, ModelVersion
from pipeline.domain.registry import RegisteredVersion
from pipeline.errors import NotFoundError
from pipeline.steps.describe import describe
from pipeline.steps.resolve import resolve

FIXTURES = Path(__file__).parents[2] / "fixtures" / "mlflow-models"
MODEL = ModelVersion("fraud", 3)
PLAN = Plan(service="fraud", model="fraud")
_NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PROMOTION = Promotion(
    id="p-1",
    sequence=1,
    service="fraud",
    kind=Kind.PROMOTION,
    phase=Phase.RUNNING,
    plan=PLAN,
    model=MODEL,
    trigger=Trigger(TriggerKind.RECONCILER, "reconciler", _NOW),
    created_at=_NOW,
    alias="champion",
)


class Registry:
    """A registry of versions that lie in local folders."""

    def __init__(self, folder: Path, tags: dict[str, str] | None = None) -> None:
        self.versions = {
            MODEL: RegisteredVersion(MODEL, "r-1", "m-1", "models:/m-1", str(folder), tags or {})
        }

    def alias(self, alias: Alias) -> int | None:
        return MODEL.version if alias.model == MODEL.name else None

    def aliases(self, workspace: str) -> dict[tuple[str, str], int]:
        return {} if workspace else {(MODEL.name, "champion"): MODEL.version}

    def version(self, model: ModelVersion) -> RegisteredVersion:
        try:
            return self.versions[model]
        except KeyError as error:
            raise NotFoundError("read the model version", str(model), "it is gone") from error

    def metrics(self, run_id: str, workspace: str) -> dict[str, float]:
        return {} if workspace else {"auc": float(run_id == "r-1")}

    def set_alias(self, alias: Alias, version: int) -> None:
        assert self.alias(alias) == version, "there is one version"

    def set_tags(self, model: ModelVersion, tags: dict[str, str]) -> None:
        version = self.version(model)
        self.versions[model] = replace(version, tags=version.tags | tags)


@dataclass
class Scene:
    """One stored model that a test may damage before it is described."""

    folder: Path

    @classmethod
    def of(cls, fixture: str, into: Path) -> "Scene":
        shutil.copytree(FIXTURES / fixture, into / fixture)
        return cls(into / fixture)

    def write(self, path: str, content: str | bytes) -> None:
        (self.folder / path).write_bytes(content.encode() if isinstance(content, str) else content)

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def resolved(self) -> ResolvedModel:
        resolved = resolve(PROMOTION, registry=Registry(self.folder))
        assert isinstance(resolved, ResolvedModel)
        return resolved

    def describe(self) -> DescribedModel | Refused:
        return describe(CheckedModel(self.resolved(), ()), store=LocalArtifacts())

    def described(self) -> DescribedModel:
        described = self.describe()
        assert isinstance(described, DescribedModel), described
        return described

    def refusal(self) -> str:
        refused = self.describe()
        assert isinstance(refused, Refused)
        return refused.reason
