"""MLflow's registry in memory: aliases move, versions vanish, and the server can be away."""

from collections.abc import Callable

from pipeline.domain.references import Alias, ModelVersion
from pipeline.domain.registry import RegisteredVersion
from pipeline.errors import NotFoundError, UnavailableError


class FakeModelRegistry:
    """Implements :class:`pipeline.ports.ModelRegistry`."""

    def __init__(self) -> None:
        self.versions: dict[ModelVersion, RegisteredVersion] = {}
        self.named: dict[Alias, int] = {}
        self.measured: dict[str, dict[str, float]] = {}
        self.away = False
        self.reads = 0
        self.at_read: Callable[[], None] = lambda: None

    def register(self, name: str, version: int, **tags: str) -> ModelVersion:
        """Add a version."""
        model = ModelVersion(name, version)
        self.versions[model] = RegisteredVersion(
            model, f"run-{version}", f"m-{version}", f"models:/m-{version}", f"/{version}", tags
        )
        return model

    def point(self, model: str, alias: str, version: int | None) -> None:
        """Move an alias, or remove it."""
        key = Alias(model, alias)
        if version is None:
            self.named.pop(key, None)
        else:
            self.named[key] = version

    def alias(self, alias: Alias) -> int | None:
        self._answer(str(alias))
        return self.named.get(alias)

    def aliases(self, workspace: str) -> dict[tuple[str, str], int]:
        self._answer(workspace)
        return {
            (alias.model, alias.name): version
            for alias, version in self.named.items()
            if alias.workspace == workspace
        }

    def version(self, model: ModelVersion) -> RegisteredVersion:
        self._answer(str(model))
        if model not in self.versions:
            raise NotFoundError("read the version", str(model), "it was deleted")
        return self.versions[model]

    def metrics(self, run_id: str, workspace: str) -> dict[str, float]:
        self._answer(f"{workspace}{run_id}")
        return self.measured.get(run_id, {})

    def set_alias(self, alias: Alias, version: int) -> None:
        self.version(ModelVersion(alias.model, version, alias.workspace))
        self.named[alias] = version

    def set_tags(self, model: ModelVersion, tags: dict[str, str]) -> None:
        self.version(model).tags.update(tags)

    def _answer(self, subject: str) -> None:
        self.reads += 1
        self.at_read()
        if self.away:
            raise UnavailableError("ask MLflow", subject, "is it running?")
