"""How a service's pods run on Kubernetes: the settings, checked before a cluster sees them."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipeline.domain.kubernetes import (
    parse_quantity,
    require_label_value,
    require_object_name,
    require_qualified_name,
    require_secret_key,
    require_variable,
)
from pipeline.domain.plan import EnvVar
from pipeline.domain.pods import Probe
from pipeline.settings.fields import Section, WholeSeconds

_SHORTEST_WARM, _LONGEST_WARM = 60, 3600  # Knative's own, and the most that it takes
_LEAST_MEMORY = 1 << 20


def written(amount: object) -> object:
    """Take a plain number, as YAML reads ``cpu: 1`` and ``cpu: 0.5``."""
    number = isinstance(amount, int | float) and not isinstance(amount, bool)
    return str(amount) if number else amount


def _amount(text: str) -> str:
    parse_quantity(text)
    return text


Quantity = Annotated[str, BeforeValidator(written), AfterValidator(_amount)]
"""An amount as Kubernetes writes it."""
ObjectName = Annotated[str, AfterValidator(require_object_name)]
"""The name of a secret or a service account."""
LabelKey = Annotated[str, AfterValidator(require_qualified_name)]
"""The key of a label, or the name of a resource."""
LabelValue = Annotated[str, AfterValidator(require_label_value)]
"""The value of a label."""


class SecretRef(Section):
    """One key of a Kubernetes secret in the service's namespace."""

    name: ObjectName
    """The secret."""
    key: Annotated[str, AfterValidator(require_secret_key)]
    """Its key."""


class EnvSettings(Section):
    """One variable of the model's server."""

    name: Annotated[str, AfterValidator(require_variable)]
    """The variable."""
    value: str | None = None
    """Its value; a secret is never written here."""
    secretRef: SecretRef | None = None  # noqa: N815 - Kubernetes writes it so
    """Where the cluster finds its value; Laurel never reads it. With ``serving: kserve`` only."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "EnvSettings":
        if (self.value is None) == (self.secretRef is None):
            raise ValueError(f"{self.name}: write either value or secretRef")
        if "\0" in (self.value or ""):
            raise ValueError(f"{self.name}: a value cannot hold a zero byte")
        return self

    def variable(self) -> EnvVar:
        """Write it as a value of the plan."""
        if self.secretRef is None:
            return EnvVar(self.name, self.value)
        return EnvVar(self.name, None, self.secretRef.name, self.secretRef.key)


class ResourcesSettings(Section):
    """What a pod needs and may take, in Kubernetes' words."""

    cpu: Quantity | None = None
    """Processors, as request and as limit: ``500m``, ``2``; default in a new service: 1."""
    memory: Quantity | None = None
    """Memory, as request and as limit: ``1Gi``; default in a new service: 2Gi."""
    requests: dict[LabelKey, Quantity] = Field(default_factory=dict)
    """In place of both: what is set aside for a pod. What only one of ``requests`` and ``limits``
    names, the other has too, because KServe would fill in amounts of its own."""
    limits: dict[LabelKey, Quantity] = Field(default_factory=dict)
    """What a pod may take at most."""

    @model_validator(mode="after")
    def _fitting(self) -> "ResourcesSettings":
        if (self.cpu or self.memory) and (self.requests or self.limits):
            raise ValueError("write cpu and memory, or requests and limits")
        requests, limits = self.amounts()
        for name, request in requests.items():
            if parse_quantity(request) > parse_quantity(limits[name]):
                raise ValueError(f"requests.{name} {request} is more than its limit {limits[name]}")
        memory = limits.get("memory")
        if memory is not None and parse_quantity(memory) < _LEAST_MEMORY:
            raise ValueError(f"memory {memory} is less than a MiB: write 512Mi or 2Gi")
        return self

    def amounts(self) -> tuple[dict[str, str], dict[str, str]]:
        """Write requests and limits, each with whatever the other names."""
        plain = {"cpu": self.cpu, "memory": self.memory}
        both = {name: amount for name, amount in plain.items() if amount is not None}
        requests = {**both, **self.limits, **self.requests}
        return requests, {**both, **self.requests, **self.limits}


class ProbeSettings(Section):
    """How a pod is asked whether it is ready; the path is the runtime's own."""

    period: Annotated[WholeSeconds, Field(ge=1)] = 5
    """How often."""
    timeout: Annotated[WholeSeconds, Field(ge=1)] = 2
    """How long an answer may take."""
    initial_delay: WholeSeconds = 0
    """How long it is not asked after its start."""
    failure_threshold: int = Field(default=3, ge=1)
    """How many answers must fail until it gets no requests."""

    def probe(self) -> Probe:
        """Write it as a value of the plan."""
        return Probe(**self.model_dump())


class ReplicasSettings(Section):
    """How many pods, between which Knative scales."""

    min: int | None = Field(default=None, ge=0)
    """At least; 0 lets a service without requests have none. Default in a new service: 1."""
    max: int | None = Field(default=None, ge=0)
    """At most; 0 is no bound."""

    @model_validator(mode="after")
    def _in_order(self) -> "ReplicasSettings":
        if self.max and (self.min or 0) > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


def _warm(seconds: int) -> int:
    if seconds and not _SHORTEST_WARM <= seconds <= _LONGEST_WARM:
        raise ValueError("Knative keeps pods for 1m at least and 1h at most: write 0 or 1m to 1h")
    return seconds


class RollbackSettings(Section):
    """What a rollback finds."""

    keep_warm: Annotated[WholeSeconds, AfterValidator(_warm)] = 0
    """How long the pods of what served before stay after a promotion, so that a rollback meets no
    cold one; 0: as long as Knative keeps them, a minute. Scaling down takes as long, too."""
