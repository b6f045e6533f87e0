"""The services of laurel.yaml, and the plan that a promotion keeps of one."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.domain.plan import AnalysisPlan, CanaryPlan, EnvVar, NoData, OnReturn, Plan
from pipeline.domain.references import (
    BaseRef,
    model_slug,
    require_repository,
    require_service_name,
)
from pipeline.settings.fields import Seconds, Section
from pipeline.settings.sections import RegistrySettings


def _base(text: str) -> str:
    if text != "host":
        BaseRef.parse(text)
    return text


class EnvSettings(Section):
    """One variable of the model's server."""

    name: str
    """The variable."""
    value: str | None = None
    """Its value; a secret is never written here."""


class RequireSettings(Section):
    """What a version must have before it is promoted."""

    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the MLflow version with the value each must have."""


class CanarySettings(Section):
    """How traffic moves to a new version."""

    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (10, 25, 50)
    """Rising percentages of traffic."""
    interval: Seconds = 60.0
    """How long each step lasts at least."""
    min_samples: int = Field(default=200, ge=1)
    """Requests the canary must have answered in each step."""
    no_data: NoData = NoData.HOLD
    """What happens where there were fewer: ``hold``, ``fail`` or ``pass``."""
    deadline: Seconds = 86400.0
    """How long one step may last at most."""
    look_every: Seconds = 5.0
    """How often request counts are judged."""

    @model_validator(mode="after")
    def _rising(self) -> "CanarySettings":
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"steps {list(self.steps)} must rise")
        return self


class ErrorLimit(Section):
    """How many more requests may fail."""

    max_increase: float = Field(default=0.01, gt=0, lt=1)
    """Share of requests above stable's."""


class SlowLimit(Section):
    """How many more requests may be slow."""

    above: float = Field(default=1.3, gt=1)
    """A request is slow above this many times stable's p95."""
    max_increase: float = Field(default=0.05, gt=0, lt=1)
    """Share of requests above stable's."""


class AnalysisSettings(Section):
    """How the canary is judged."""

    errors: ErrorLimit = ErrorLimit()
    """Failed requests: 5xx, timeouts, refused connections."""
    slow: SlowLimit = SlowLimit()
    """Slow requests."""
    confidence: float = Field(default=0.99, gt=0.5, lt=1)
    """1 - alpha, over all metrics and looks of one canary."""


class ServiceSettings(Section):
    """One service that Laurel rolls images out to."""

    name: Annotated[str, AfterValidator(require_service_name)]
    """A DNS label."""
    model: str = Field(min_length=1)
    """MLflow's registered model."""
    alias: str = "champion"
    """The alias whose move asks for a promotion."""
    workspace: str | None = None
    """MLflow workspace, where it differs from ``mlflow.workspace``."""
    from_alias: str | None = None
    """Alias that the version must have held before."""
    runtime: Literal["auto", "mlserver", "mlflow"] = "auto"
    """Which server runs the model; ``auto`` takes the first that resolves with its pins."""
    base: Annotated[str, AfterValidator(_base)] = "host"
    """``host``: a base made from this machine's own Python; else an image by digest, its name as
    docker reads it: ``python:3.11-slim@sha256:…``."""
    platform: Annotated[str, Field(pattern=r"^linux/[a-z0-9]+(/v[0-9]+)?\z")] | None = None
    """For which machines images are; default: such as the one that builds them."""
    repository: Annotated[str, AfterValidator(require_repository)] | None = None
    """Image repository in the registry; default: derived from the model's name."""
    copy_from: Annotated[str, AfterValidator(require_repository)] | None = None
    """Repository, also of another registry, whose image of a version is taken as it is."""
    env: tuple[EnvSettings, ...] = ()
    """Variables of the model's server."""
    require: RequireSettings = RequireSettings()
    """What a version must have."""
    canary: CanarySettings = CanarySettings()
    """How traffic moves."""
    analysis: AnalysisSettings = AnalysisSettings()
    """How the canary is judged."""
    on_return: OnReturn = OnReturn.ROLLBACK
    """An alias that returns to a version served before: ``rollback`` at once, or ``canary``."""

    def plan(self, default_workspace: str, registry: RegistrySettings, builder: str) -> Plan:
        """Write the service as the value that its promotions keep."""
        return Plan(
            service=self.name,
            model=self.model,
            alias=self.alias,
            workspace=default_workspace if self.workspace is None else self.workspace,
            from_alias=self.from_alias,
            runtime=self.runtime,
            base=self.base,
            platform=self.platform or "",
            builder=builder,
            repository=registry.repository(self.repository or model_slug(self.model)),
            copy_from=registry.repository(self.copy_from) if self.copy_from else "",
            required_tags=dict(self.require.tags),
            env=tuple(EnvVar(variable.name, variable.value) for variable in self.env),
            canary=CanaryPlan(**self.canary.model_dump()),
            analysis=AnalysisPlan(
                errors_max_increase=self.analysis.errors.max_increase,
                slow_above=self.analysis.slow.above,
                slow_max_increase=self.analysis.slow.max_increase,
                confidence=self.analysis.confidence,
            ),
            on_return=self.on_return,
        )
