"""Counters of queue-proxies as a real Prometheus has them: copies, gaps, restarts, missing labels.

Prometheus takes up to 5 s to see a new target, so one is started with everything to scrape, and
each test has a namespace of its own in it.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.prometheus_api import PrometheusApi
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.domain.analysis import Counts
from pipeline.domain.serving import RequestTotals
from pipeline.domain.traffic import increments
from pipeline.errors import UnavailableError
from tests.fakes.local_machine import eventually
from tests.servers.prometheus import Prometheus, running_prometheus
from tests.servers.queue_proxies import Counting, CountingActivator, Knative, serving

pytestmark = pytest.mark.xdist_group("scraped")

FRAUD, LONG = "fraud-00001", f"{'a-service-with-a-long-name-' * 2}00001"
ON_POD = "10.244.1.9"
DROPPED = [{"source_labels": ["__name__"], "regex": "target_info", "action": "drop"}]
SCRAPES: dict[str, dict[str, Any]] = {
    "pods": {},
    "again": {},
    "dropped": {"metric_relabel_configs": DROPPED},
    "federate": {"metrics_path": "/federate", "params": {"match[]": ['{namespace="federated"}']}},
}


class Cluster:
    """Pods by namespace, and the Prometheus that scrapes them."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._running = running
        self.pods: dict[str, Counting] = {}
        self.ends: dict[str, ExitStack] = {}
        self.prometheus = Prometheus(folder, SCRAPES)

    def pod(
        self, namespace: str, revision: str = FRAUD, knative: Knative = Knative.SINCE_1_20_1
    ) -> Counting:
        name = f"{revision}-deployment-575687bc8"[:57] + "-h4s92"
        self.pods[namespace] = Counting(name, namespace, revision, knative)
        return self.run(namespace)

    def run(self, namespace: str, port: int = 0) -> Counting:
        self.ends[namespace] = self._running.enter_context(ExitStack())
        return self.ends[namespace].enter_context(serving(self.pods[namespace], port))

    def scrape(self, counting: Counting, job: str = "pods", **labels: str) -> None:
        at = {"namespace": counting.namespace, "pod": counting.name}
        self.prometheus.scrape(counting.address, job=job, **{**at, **labels})

    def metrics(self, namespace: str) -> PrometheusMetrics:
        return PrometheusMetrics(self.prometheus.url, namespace=namespace)

    def value(self, expression: str) -> float:
        api = PrometheusApi(self.prometheus.url)
        found = api.query(expression, "a test")
        api.close()
        return found[0].value if found else 0.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as running:
        cluster = Cluster(tmp_path_factory.mktemp("prometheus"), running)
        for namespace in ("gaps", "restarts", "outage", "alone"):
            cluster.scrape(cluster.pod(namespace))
        declare_copies(cluster)
        declare_oddities(cluster)
        running.callback(cluster.prometheus.kill)
        cluster.prometheus.start()
        yield cluster


def declare_copies(cluster: Cluster) -> None:
    twice, pair = cluster.pod("twice"), cluster.pod("pair")
    cluster.scrape(twice)
    cluster.scrape(twice, job="again")
    for replica in ("a", "b"):
        cluster.scrape(pair, replica=replica)
    cluster.scrape(cluster.pod("federated"))
    itself = f"127.0.0.1:{cluster.prometheus.port}"
    cluster.prometheus.scrape(itself, job="federate", pod="prometheus-0", namespace="monitoring")


def declare_oddities(cluster: Cluster) -> None:
    relabelled = cluster.pod("relabelled", LONG)
    cluster.scrape(relabelled, job="dropped", serving_knative_dev_revision=LONG)
    cluster.scrape(cluster.pod("named"), job="dropped")
    cluster.scrape(cluster.pod("near", f"{FRAUD}-deployment-b"), job="dropped")
    cluster.scrape(cluster.pod("long", LONG))
    cluster.prometheus.scrape(cluster.pod("bare").address)
    for namespace, instance in (("old", "10.0.0.7:9091"), ("elsewhere", "10.0.0.8:8082")):
        pod = cluster.pod(namespace, knative=Knative.UNTIL_1_18)
        cluster.scrape(pod, instance=instance)


def counts(metrics: PrometheusMetrics, revision: str = FRAUD) -> dict[str, Counts]:
    read = metrics.read("fraud", [revision])[revision]
    return {name: Counts(one.completed, one.failed) for name, one in read.items()}


def total(metrics: PrometheusMetrics, revision: str = FRAUD) -> Counts | None:
    try:
        return sum(counts(metrics, revision).values(), start=Counts())
    except UnavailableError:
        return None


def settled(metrics: PrometheusMetrics, expected: Counts, revision: str = FRAUD) -> None:
    eventually(lambda: total(metrics, revision) == expected, f"{expected} of {revision}")


@pytest.mark.parametrize("namespace", ["twice", "pair", "federated"])
def test_a_pod_that_is_scraped_twice_is_counted_once(cluster: Cluster, namespace: str) -> None:
    metrics = cluster.metrics(namespace)
    for status in (200, 200, 503):
        cluster.pods[namespace].answer(status)
    eventually(
        lambda: cluster.value(f'count(target_info{{k8s_namespace_name="{namespace}"}})') == 2
    )
    settled(metrics, Counts(3, 1))


@pytest.mark.parametrize(
    ("namespace", "revision"), [("relabelled", LONG), ("named", FRAUD), ("long", LONG)]
)
def test_a_revision_is_found_by_whatever_the_scrape_left_of_it(
    cluster: Cluster, namespace: str, revision: str
) -> None:
    cluster.pods[namespace].answer(500)
    settled(cluster.metrics(namespace), Counts(1, 1), revision)


def test_a_pods_name_that_only_begins_as_ours_is_not_ours(cluster: Cluster) -> None:
    cluster.pods["near"].answer()
    settled(cluster.metrics("near"), Counts(1, 0), f"{FRAUD}-deployment-b")
    with pytest.raises(UnavailableError, match="no pod of fraud-00001 in near is scraped"):
        cluster.metrics("near").read("fraud", [FRAUD])


def test_another_pod_at_the_address_of_one_before_it_inherits_none_of_its_failures(
    cluster: Cluster,
) -> None:
    metrics = cluster.metrics("bare")
    before = cluster.pods["bare"]
    before.answer(500)
    settled(metrics, Counts(1, 1))
    cluster.ends["bare"].close()
    cluster.pods["bare"] = Counting("fraud-00002-deployment-1-aaaaa", "bare", "fraud-00002")
    cluster.run("bare", int(before.address.rpartition(":")[2])).answer()
    settled(metrics, Counts(1, 0), "fraud-00002")


def test_a_pod_that_cannot_be_scraped_for_a_while_loses_and_gains_nothing(
    cluster: Cluster,
) -> None:
    metrics, pod = cluster.metrics("gaps"), cluster.pods["gaps"]
    for status in (200, 500):
        pod.answer(status)
    settled(metrics, Counts(2, 1))
    before = counts(metrics)
    cluster.ends["gaps"].close()
    eventually(lambda: cluster.value('sum(up{namespace="gaps"})') == 0)
    assert counts(metrics) == before
    cluster.run("gaps", int(pod.address.rpartition(":")[2])).answer()
    eventually(lambda: increments(before, counts(metrics)) == Counts(1, 0))


def test_a_queue_proxy_that_begins_anew_has_not_failed_again_what_it_had_failed_before(
    cluster: Cluster,
) -> None:
    metrics, pod = cluster.metrics("restarts"), cluster.pods["restarts"]
    for status in (200, 200, 200, 500, 500):
        pod.answer(status)
    settled(metrics, Counts(5, 2))
    before = counts(metrics)
    pod.restart()
    pod.answer()
    eventually(lambda: increments(before, counts(metrics)).requests > 0)
    assert increments(before, counts(metrics)) == Counts(1, 0)


def test_a_prometheus_that_was_killed_goes_on_where_the_pods_are(cluster: Cluster) -> None:
    metrics, pod = cluster.metrics("outage"), cluster.pods["outage"]
    pod.answer(500)
    settled(metrics, Counts(1, 1))
    before = counts(metrics)
    cluster.prometheus.kill()
    with pytest.raises(UnavailableError, match="fraud, Prometheus at localhost"):
        metrics.read("fraud", [FRAUD])
    pod.answer()
    cluster.prometheus.start()
    eventually(lambda: increments(before, counts(metrics)) == Counts(1, 0))


def test_a_scraped_pod_of_old_knative_without_requests_has_zeros(cluster: Cluster) -> None:
    metrics = cluster.metrics("old")
    eventually(lambda: total(metrics) is not None)
    (zeros,) = metrics.read("fraud", [FRAUD])[FRAUD].values()
    assert zeros == RequestTotals()


def test_a_pod_whose_queue_proxy_is_not_scraped_is_no_pod_without_requests(
    cluster: Cluster,
) -> None:
    eventually(lambda: cluster.value('sum(up{namespace="elsewhere"})') == 1)
    with pytest.raises(UnavailableError, match="is scraped: set request-metrics-protocol"):
        cluster.metrics("elsewhere").read("fraud", [FRAUD])


def test_the_revision_that_nobody_scrapes_is_named(cluster: Cluster) -> None:
    metrics = cluster.metrics("alone")
    eventually(lambda: total(metrics) is not None)
    with pytest.raises(UnavailableError, match="no pod of fraud-00002 in alone is scraped"):
        metrics.read("fraud", [FRAUD, "fraud-00002"])


def test_what_an_activator_answers_for_a_pod_that_cannot_counts_and_nothing_twice(
    tmp_path: Path,
) -> None:
    stable = Counting("fraud-00001-deployment-1-aaaaa", "ml", "fraud-00001")
    canary = Counting("fraud-00002-deployment-1-bbbbb", "ml", "fraud-00002")
    activator = CountingActivator("activator-1", "ml", "")
    with ExitStack() as running:
        prometheus = Prometheus(tmp_path)
        for pod in (stable, canary, activator):
            running.enter_context(serving(pod))
            space = "knative-serving" if pod is activator else "ml"
            prometheus.scrape(pod.address, namespace=space, pod=pod.name)
        running.callback(prometheus.kill)
        prometheus.start()
        metrics = PrometheusMetrics(prometheus.url, namespace="ml")
        stable.answer(host="fraud.ml.example.com")  # came to the pod straight from the gateway
        stable.answer(activator.pass_on("fraud-00001"), host=ON_POD)
        canary.answer(activator.pass_on("fraud-00002", 500), host="fraud-00002-private.ml")
        activator.pass_on("fraud-00002", 504)
        settled(metrics, Counts(2, 2), "fraud-00002")
        settled(metrics, Counts(2, 0), "fraud-00001")
        stable.answer(activator.pass_on("fraud-00001"), host=ON_POD)
        settled(metrics, Counts(3, 0), "fraud-00001")


def test_a_prometheus_behind_tls_is_believed_by_its_ca(tmp_path: Path) -> None:
    with running_prometheus(tmp_path, tls=True) as prometheus:
        trusting = PrometheusMetrics(prometheus.url, namespace="ml", ca_file=prometheus.ca_file)
        with pytest.raises(UnavailableError, match="no pod of fraud-00001 in ml is scraped"):
            trusting.read("fraud", [FRAUD])
        stranger = PrometheusMetrics(prometheus.url, namespace="ml")
        with pytest.raises(UnavailableError, match=r"metrics\.ca_file names the CA"):
            stranger.read("fraud", [FRAUD])
