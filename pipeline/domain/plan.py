"""What a promotion keeps of its service's settings from acceptance to end (interfaces §8.15)."""

from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.domain.pods import PodPlan


class NoData(StrEnum):
    """What a canary step does when its interval is over and traffic was too thin to judge."""

    HOLD = "hold"
    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - a verdict, not a password


class OnReturn(StrEnum):
    """What an alias that returns to a version served before asks for."""

    ROLLBACK = "rollback"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """Which percentages, for how long, on how many requests.

    Parameters
    ----------
    steps
        Traffic percentages of the canary, rising, each 1-99; 0 before and 100 after go unsaid.
    interval
        Seconds that each step lasts at least.
    min_samples
        Requests that the canary must have answered in a step before it may pass.
    no_data
        What happens when the interval is over and there were fewer.
    deadline
        Seconds that one step may last at most; then traffic goes back to stable.

    """

    steps: tuple[int, ...] = (10, 25, 50)
    interval: float = 60.0
    min_samples: int = 200
    no_data: NoData = NoData.HOLD
    deadline: float = 86400.0
    look_every: float = 5.0


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """How much worse a canary may be, and how sure the judge must be before it says so.

    ``errors_max_increase`` and ``slow_max_increase`` are shares of requests (0.01 = one point);
    a request is slow above ``slow_above`` times stable's p95; ``confidence`` is 1 - alpha over all
    metrics and all looks of one canary.
    """

    errors_max_increase: float = 0.01
    slow_above: float = 1.3
    slow_max_increase: float = 0.05
    confidence: float = 0.99


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One variable that the model's server gets; a secret is referenced by name, never carried."""

    name: str
    value: str | None = None
    secret_name: str | None = None
    secret_key: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One service as its settings describe it.

    ``runtime`` is ``auto`` or a runtime's name; ``base`` is ``host`` or an image by digest;
    ``platform`` is that of its image, ``linux/amd64``, or the builder's (``""``); ``builder`` is
    ``layers`` or ``docker``.
    ``repository`` is the whole name, registry included; so is ``copy_from``, from where an image
    that was built already is taken. ``required_tags`` maps tag to the value it must have on the
    MLflow version, ``required_metrics`` a metric of its run to what it must be (``>= 0.90``);
    ``compatible_signature`` refuses what would break callers;
    ``approvals`` is how many people must agree; ``namespace`` is that of its InferenceService;
    ``pods`` is for Kubernetes only. ``move_alias`` tells whether a rollback moves the alias, too.
    """

    service: str
    model: str
    alias: str = "champion"
    workspace: str = ""
    from_alias: str | None = None
    runtime: str = "auto"
    base: str = "host"
    platform: str = ""
    builder: str = "layers"
    repository: str = ""
    copy_from: str = ""
    required_tags: dict[str, str] = field(default_factory=dict)
    required_metrics: dict[str, str] = field(default_factory=dict)
    compatible_signature: bool = True
    approvals: int = 0
    namespace: str = ""
    env: tuple[EnvVar, ...] = ()
    pods: PodPlan = field(default_factory=PodPlan)
    canary: CanaryPlan = field(default_factory=CanaryPlan)
    analysis: AnalysisPlan = field(default_factory=AnalysisPlan)
    on_return: OnReturn = OnReturn.ROLLBACK
    move_alias: bool = False
