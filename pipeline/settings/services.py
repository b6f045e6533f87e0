"""The services of laurel.yaml, and the plan that a promotion keeps of one."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline.domain.plan import AnalysisPlan, CanaryPlan, OnReturn, Plan
from pipeline.domain.pods import Drift, PodPlan
from pipeline.domain.policy import Threshold
from pipeline.domain.references import (
    BaseRef,
    model_slug,
    require_repository,
    require_service_name,
)
from pipeline.settings.canary import AnalysisSettings, CanarySettings
from pipeline.settings.fields import Section, WholeSeconds
from pipeline.settings.pods import (
    EnvSettings,
    LabelKey,
    LabelValue,
    ObjectName,
    ProbeSettings,
    ReplicasSettings,
    ResourcesSettings,
    RollbackSettings,
)
from pipeline.settings.sections import RegistrySettings


def _base(text: str) -> str:
    if text != "host":
        BaseRef.parse(text)
    return text


def _threshold(text: str) -> str:
    Threshold.parse(text)
    return text.strip()


class RequireSettings(Section):
    """What a version must have before it is promoted."""

    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the MLflow version with the value each must have."""
    metrics: dict[str, Annotated[str, AfterValidator(_threshold)]] = Field(default_factory=dict)
    """Metrics of its run with what each must be: `{auc: ">= 0.90"}`; `>= > <= < ==`."""
    compatible_signature: bool = True
    """Whether who calls the version that serves must be able to call this one: no input that is
    newly required, no type that does not take what was sent, no output gone."""
    approvals: int = Field(default=0, ge=0, le=20)
    """How many people must agree to its image before it gets traffic; who asked is none of them."""


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
    resources: ResourcesSettings = ResourcesSettings()
    """What a pod needs; this and what follows is for Kubernetes, and nothing on this machine."""
    accelerators: dict[LabelKey, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Accelerators of each pod, by the resource that its vendor names: ``{nvidia.com/gpu: 1}``."""
    service_account: ObjectName | None = None
    """The pods' account; it gets no token of the API server in a service that Laurel creates."""
    pull_secrets: tuple[ObjectName, ...] = ()
    """Secrets that nodes pull the image with."""
    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of the nodes to run on; needs Knative's flag ``kubernetes.podspec-nodeselector``."""
    probe: ProbeSettings | None = None
    """How a pod is asked whether it is ready."""
    timeout: Annotated[WholeSeconds, Field(ge=1)] | None = None
    """How long one request may take, up to ``serving.max_timeout``; default: the cluster's."""
    progress_deadline: Annotated[WholeSeconds, Field(ge=1)] | None = None
    """How long a revision may take until its pods are ready; default in a new service: 10 min."""
    replicas: ReplicasSettings = ReplicasSettings()
    """How many pods."""
    adopt: bool = False
    """Whether an InferenceService that Laurel did not make is taken over; the refusal without it
    shows what would change."""
    drift: Drift = Drift.REPORT
    """When somebody edits image or percent by hand: ``report`` it, ``heal`` it by putting it back,
    or ``adopt`` an image that was put there."""
    rollback: RollbackSettings = RollbackSettings()
    """What a rollback finds."""

    @model_validator(mode="after")
    def _each_variable_once(self) -> "ServiceSettings":
        names = [variable.name for variable in self.env]
        if len(set(names)) != len(names):
            raise ValueError("env: each variable may stand once")
        return self

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
            compatible_signature=self.require.compatible_signature,
            required_metrics=dict(self.require.metrics),
            approvals=self.require.approvals,
            env=tuple(variable.variable() for variable in self.env),
            pods=self._pods(),
            canary=CanaryPlan(**self.canary.model_dump()),
            analysis=AnalysisPlan(
                errors_max_increase=self.analysis.errors.max_increase,
                slow_above=self.analysis.slow.above,
                slow_max_increase=self.analysis.slow.max_increase,
                confidence=self.analysis.confidence,
            ),
            on_return=self.on_return,
        )

    def _pods(self) -> PodPlan:
        requests, limits = self.resources.amounts()
        accelerators = {name: str(count) for name, count in self.accelerators.items()}
        return PodPlan(
            requests={**requests, **accelerators},
            limits={**limits, **accelerators},
            service_account=self.service_account or "",
            pull_secrets=self.pull_secrets,
            node_selector=dict(self.node_selector),
            probe=self.probe.probe() if self.probe else None,
            timeout=self.timeout,
            progress_deadline=self.progress_deadline,
            min_replicas=self.replicas.min,
            max_replicas=self.replicas.max,
            keep_warm=self.rollback.keep_warm,
            adopt=self.adopt,
            drift=self.drift,
        )
