"""The kinds of object that a promotion on Kubernetes reads and writes, and nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as API paths name it; ``group`` is empty for the core group."""

    group: str
    version: str
    plural: str

    @property
    def api(self) -> str:
        """The path of its group and version: ``/apis/serving.kserve.io/v1beta1``, ``/api/v1``."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


INFERENCE_SERVICES = Resource("serving.kserve.io", "v1beta1", "inferenceservices")
KNATIVE_SERVICES = Resource("serving.knative.dev", "v1", "services")
REVISIONS = Resource("serving.knative.dev", "v1", "revisions")
PODS = Resource("", "v1", "pods")
NAMESPACES = Resource("", "v1", "namespaces")
EVENTS = Resource("", "v1", "events")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
