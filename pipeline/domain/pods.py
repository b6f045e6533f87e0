"""How a service's pods run on Kubernetes; on this machine nothing of it counts.

Written into the InferenceService field by field (kserve.md 1.5). What a service does not set stays
as the InferenceService has it, or as the cluster decides.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Drift(StrEnum):
    """What happens where somebody edits an InferenceService's image or percent by hand."""

    REPORT = "report"
    HEAL = "heal"
    ADOPT = "adopt"


@dataclass(frozen=True, slots=True)
class Probe:
    """How Knative asks a pod whether it is ready; the path is the runtime's own.

    ``period``, ``timeout`` and ``initial_delay`` are whole seconds.
    """

    period: int = 5
    timeout: int = 2
    initial_delay: int = 0
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True)
class PodPlan:
    """The pods of one service; what is ``None`` or empty is not set in laurel.yaml.

    Parameters
    ----------
    requests, limits
        Kubernetes quantities by resource: ``{"cpu": "500m", "nvidia.com/gpu": "1"}``.
    service_account, pull_secrets, node_selector
        As in a pod; the secrets are named, never carried.
    probe
        How readiness is asked for.
    timeout
        Whole seconds that one request may take.
    progress_deadline
        Whole seconds that a revision may take until its pods are ready.
    min_replicas, max_replicas
        Bounds of the autoscaler; ``min_replicas`` 0 is scale to zero, ``max_replicas`` 0 no bound.
    keep_warm
        Seconds that the last pod of what served before stays after a promotion; 0: not at all.
    adopt
        Whether an InferenceService that Laurel did not make may be taken over.
    drift
        What to do about edits by hand.

    """

    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    node_selector: dict[str, str] = field(default_factory=dict)
    probe: Probe | None = None
    timeout: int | None = None
    progress_deadline: int | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None
    keep_warm: int = 0
    adopt: bool = False
    drift: Drift = Drift.REPORT
