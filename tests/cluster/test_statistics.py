"""What a platform's Prometheus and its gateway know of a revision's requests."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import urllib3

from tests.cluster.conftest import Model
from tests.cluster.services import Services
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import burst
from tests.servers.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.smoke]

COUNT = "kn_serving_invocation_duration_seconds_count"
PATIENCE = 30.0


def asked(cluster: Whole, query: str) -> list[Mapping[str, Any]]:
    answer = urllib3.request(
        "GET", f"{cluster.place.prometheus}/api/v1/query", fields={"query": query}, timeout=10
    )
    found: list[Mapping[str, Any]] = answer.json()["data"]["result"]
    return found


def eventually(look: Callable[[], object]) -> None:
    """Wait for the next scrapes: Prometheus is told nothing, it comes by."""
    until(look, "Prometheus sees it", PATIENCE)


def test_prometheus_counts_the_requests_of_a_revision_by_its_pod(
    cluster: Whole, services: Services, model: Model
) -> None:
    revision = services.start("fraud", model("v1"))
    (pod,) = services.pods(revision)
    labels = {
        "namespace": services.namespace,
        "pod": pod["metadata"]["name"],
        "container": "queue-proxy",
        "endpoint": "http-usermetric",
        "serving_knative_dev_service": "fraud-predictor",
        "serving_knative_dev_configuration": "fraud-predictor",
        "serving_knative_dev_revision": revision,
        "http_response_status_code": "200",
    }
    seen = burst(services.target("fraud"), 50)
    assert seen.versions() == {"v1": 50}
    selected = ",".join(f'{name}="{value}"' for name, value in labels.items())

    def counted() -> bool:
        return [each["value"][1] for each in asked(cluster, f"{COUNT}{{{selected}}}")] == ["50"]

    eventually(counted)


def test_the_pods_own_statement_names_the_revision_too(
    cluster: Whole, services: Services, model: Model
) -> None:
    revision = services.start("fraud", model("v1"))
    query = f'target_info{{namespace="{services.namespace}",kn_revision_name="{revision}"}}'
    eventually(lambda: asked(cluster, query))


def test_envoy_counts_the_requests_of_a_revision_and_prometheus_reads_it(
    cluster: Whole, services: Services, model: Model
) -> None:
    revision = services.start("fraud", model("v1"))
    burst(services.target("fraud"), 50)
    name = f"{services.namespace}/{revision}"
    query = f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="{name}"}}'

    def counted() -> bool:
        return any(int(each["value"][1]) >= 50 for each in asked(cluster, query))

    eventually(counted)


def test_every_target_of_prometheus_answers_and_the_activator_is_one(cluster: Whole) -> None:
    eventually(lambda: asked(cluster, 'up{job="activator-service"} == 1'))
    eventually(lambda: asked(cluster, 'up{job="kourier-system/gateway"} == 1'))
