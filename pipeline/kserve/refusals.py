"""Why KServe or Knative does not do what the InferenceService asks for, in their own words.

``ReconcileFailed`` freezes a service until its spec is corrected: a percent of 101, a reserved
port, a policy that forbids the pod (testbed.md trap A). ``RevisionFailed`` with "creation failed"
is a revision that a quota or a policy did not let come into being (trap 7). The same reasons stand
there for a moment when a webhook is away, or the API server was and KServe's memory of it is old:
those mend themselves.
"""

import re

from pipeline.kserve.inference import LEFT_ALONE, InferenceService
from pipeline.kserve.observed import Condition
from pipeline.kserve.pods import one_line

_PASSING = re.compile(
    r"failed calling webhook|connection (?:refused|reset|lost)|deadline exceeded|timed? ?out|EOF|"
    r"no endpoints|no such host|no route to host|network is unreachable|broken pipe|GOAWAY|"
    r"object has been modified|already exists|NotOwned|does not own|context canceled|"
    r"server is currently unable|too many requests|not yet ready to handle|leader changed|"
    r"try again",
    re.IGNORECASE,
)
_NOT_MADE = "Revision creation failed"


def refusal(now: InferenceService) -> str:
    """Say why what is asked for cannot be made; ``""`` where nothing says so for good."""
    said = refused(now)
    return "" if said is None or _PASSING.search(said.message) else one_line(said.message)


def obstacle(now: InferenceService) -> str:
    """Say what stands in the way, if only for a moment; ``""`` where nothing does."""
    if now.left_alone:
        return f"KServe leaves it as it is while it has the annotation {LEFT_ALONE}"
    said = refused(now)
    return "" if said is None else one_line(said.message)


def refused(now: InferenceService) -> Condition | None:
    """Find the condition that says that the spec was not taken; ``None`` where it was."""
    predictor = now.condition("PredictorReady")
    if predictor.false and predictor.reason == "ReconcileFailed":
        return predictor
    made = now.condition("PredictorConfigurationReady")
    if made.false and _NOT_MADE in made.message:
        return made
    return None
