"""InferenceServices as users have them, in one namespace: made, looked at and waited for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cluster.stack.api import Api, Object
from tests.cluster.stack.place import DOMAIN, Place
from tests.cluster.traffic import Target
from tests.servers.waiting import until

IMAGE = "/spec/predictor/containers/0/image"
PERCENT = "/spec/predictor/canaryTrafficPercent"


@dataclass(frozen=True)
class Services:
    """The InferenceServices of a namespace, and what Knative made of them."""

    api: Api
    place: Place
    namespace: str

    def path(self, name: str = "") -> str:
        """Name the path of a service, or of all."""
        listed = f"/apis/serving.kserve.io/v1beta1/namespaces/{self.namespace}/inferenceservices"
        return f"{listed}/{name}" if name else listed

    def knative(self, plural: str, name: str = "") -> str:
        """Name the path of an object of Knative Serving."""
        listed = f"/apis/serving.knative.dev/v1/namespaces/{self.namespace}/{plural}"
        return f"{listed}/{name}" if name else listed

    def create(self, name: str, image: str, **more: Any) -> None:  # noqa: ANN401 - fields of metadata
        """Create a service of one container that is ready when its model is; do not wait."""
        self.api.create(self.path(), inference_service(name, image, **more))

    def start(self, name: str, image: str, **more: Any) -> str:  # noqa: ANN401 - as above
        """Create a service and wait until it is ready; return its revision."""
        self.create(name, image, **more)
        self.wait(name, ready)
        return str(predictor(self.read(name))["latestRolledoutRevision"])

    def read(self, name: str) -> Object:
        """Read a service that is there."""
        found = self.api.get(self.path(name))
        assert found is not None, f"there is no service {name}"
        return found

    def patch(self, name: str, *operations: Object) -> tuple[int, Object]:
        """Send one JSON patch, as a person would; status and answer."""
        return self.api.patch(self.path(name), list(operations))

    def wait(self, name: str, seen: Callable[[Object], object], patience: float = 90) -> Object:
        """Wait until something is seen in a service; return it as it is then."""

        def looked() -> Object | None:
            found = self.read(name)
            return found if seen(found) else None

        return until(looked, name, patience, lambda: self.read(name).get("status"))

    def pods(self, revision: str) -> list[Object]:
        """Read the pods of a revision."""
        label = f"serving.knative.dev/revision={revision}"
        return self.api.items(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={label}")

    def target(self, name: str, tag: str = "") -> Target:
        """Say where requests to a service go, or to what it tags."""
        prefix = f"{tag}-" if tag else ""
        host = f"{prefix}{name}-predictor.{self.namespace}.{DOMAIN}"
        return Target(self.place.gateway, host, f"/v2/models/{name}/infer")


def inference_service(
    name: str,
    image: str,
    *,
    annotations: dict[str, str] | None = None,
    **predictor_fields: Any,  # noqa: ANN401 - fields of its predictor
) -> Object:
    """Write a service whose pods are looked at every second, and which tests need not wait for."""
    container = {
        "name": "kserve-container",
        "image": image,
        "env": [{"name": "PROTOCOL", "value": "v2"}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": f"/v2/models/{name}/ready"}, "periodSeconds": 1},
        "resources": {
            "requests": {"cpu": "20m", "memory": "16Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi"},
        },
    }
    deadline = {"serving.knative.dev/progress-deadline": "20s"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": {**deadline, **(annotations or {})}},
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "timeout": 10,
                "containers": [container],
                **predictor_fields,
            }
        },
    }


def predictor(service: Object) -> Object:
    """Read what KServe remembers of a service's revisions."""
    found: Object = service.get("status", {}).get("components", {}).get("predictor", {})
    return found


def condition(service: Object, kind: str) -> Object:
    """Read one of its conditions."""
    conditions = service.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def ready(service: Object) -> bool:
    """Tell whether KServe says so."""
    return condition(service, "Ready").get("status") == "True"


def split(service: Object) -> dict[str, int]:
    """Read the observed split: percent by revision."""
    traffic = predictor(service).get("traffic") or []
    found: dict[str, int] = {}
    for each in traffic:
        name = each.get("revisionName", "")
        found[name] = found.get(name, 0) + each.get("percent", 0)
    return found
