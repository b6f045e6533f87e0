"""Plans, images and InferenceServices for the pure parts of ``pipeline.kserve``."""

from typing import Any

from hypothesis import strategies as st

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.pods import PodPlan, Probe
from pipeline.domain.references import Digest, ImageRef, ModelVersion

REPOSITORY = "registry.test/ml/fraud"
NONE = Digest.of(b"")


def image(content: bytes = b"v1") -> VerifiedImage:
    """Name an image as ``verify`` would."""
    return VerifiedImage(
        ref=ImageRef(REPOSITORY, Digest.of(content)),
        model=ModelVersion("fraud", 1),
        runtime="mlserver",
        slug="fraud",
        key_id="k",
        artifact_digest=NONE,
        lock_digest=NONE,
        base_digest=NONE,
        statements=(),
    )


def plan(*env: EnvVar, **pods: Any) -> Plan:  # noqa: ANN401 - the fields of PodPlan
    """Write a service with these variables and these pods."""
    return Plan("fraud", "fraud", repository=REPOSITORY, env=env, pods=PodPlan(**pods))


NAMES = st.sampled_from(["A", "B", "C", "cpu"])
VARIABLES = st.builds(EnvVar, NAMES, st.text("a$(", max_size=3)) | st.builds(
    EnvVar, NAMES, st.none(), st.just("secret"), st.just("key")
)
AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), st.sampled_from(["1", "0.5", "2"])
)
SECONDS = st.none() | st.integers(1, 600)
PLANS = st.builds(
    lambda env, pods: Plan("fraud", "fraud", repository=REPOSITORY, env=tuple(env), pods=pods),
    st.lists(VARIABLES, max_size=3, unique_by=lambda variable: variable.name),
    st.builds(
        PodPlan,
        requests=AMOUNTS,
        limits=AMOUNTS,
        service_account=st.sampled_from(["", "models"]),
        pull_secrets=st.sampled_from([(), ("one",), ("one", "two")]),
        node_selector=st.dictionaries(st.sampled_from(["disk", "a.b/c"]), st.just("x")),
        probe=st.none() | st.builds(Probe, st.integers(1, 9)),
        timeout=SECONDS,
        progress_deadline=SECONDS,
        min_replicas=st.none() | st.integers(0, 3),
        max_replicas=st.none() | st.integers(3, 5),
        keep_warm=st.sampled_from([0, 60, 600, 3600]),
    ),
)


def foreign(**predictor: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Write an InferenceService of somebody else's: a custom container unless told otherwise."""
    container = {"name": "kserve-container", "image": f"{REPOSITORY}@{NONE}"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "fraud", "namespace": "ml"},
        "spec": {"predictor": predictor or {"containers": [container]}},
    }
