"""Reads request counters from the Prometheus that scrapes the cluster; implements ``Metrics``."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.adapters.count_source import ATTEMPTED
from pipeline.adapters.knative_counts import Scraped, chosen
from pipeline.adapters.knative_queries import counted, scraped
from pipeline.adapters.prometheus_api import PrometheusApi
from pipeline.domain.serving import RequestTotals
from pipeline.errors import UnavailableError


class PrometheusMetrics:
    """Counters of Knative's queue-proxies and activators, one series per pod and kind of answer.

    Parameters
    ----------
    url
        As ``http(s)://host[:port][/prefix]``; whatever answers ``/api/v1/query`` below it.
    namespace
        Where the revisions are.
    token, ca_file
        How Laurel shows who it is, and knows whom it speaks to.

    """

    def __init__(
        self, url: str, *, namespace: str, token: str | None = None, ca_file: Path | None = None
    ) -> None:
        self._prometheus = PrometheusApi(url, token=token, ca_file=ca_file)
        self._namespace = namespace

    def close(self) -> None:
        """Close every connection."""
        self._prometheus.close()

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        """Read ``{revision: {series: totals}}``; a scraped pod without requests has zeros.

        Raises
        ------
        UnavailableError
            Where no pod of a revision was scraped lately: nobody knows what it answered.

        """
        names = set(revisions)
        found = self._scraped(service, names)
        expression = counted(self._namespace, names, found.instances)
        samples = self._prometheus.query(expression, service)
        counters = found.counters((sample.labels, sample.value) for sample in samples)
        read: dict[str, dict[str, RequestTotals]] = {name: {} for name in names}
        for counter in chosen(counters, activators=found.activators):
            read[counter.pod.revision][counter.series] = counter.totals(counters[counter])
        for pod in found.pods() - {counter.pod for counter in counters}:
            read[pod.revision][pod.name] = RequestTotals()
        for name, series in read.items():
            if not series:
                raise self._unseen(service, name)
        return read

    def _scraped(self, service: str, names: set[str]) -> Scraped:
        rows = self._prometheus.query(scraped(self._namespace, names), service)
        labels = (row.labels for row in rows)
        return Scraped(labels, namespace=self._namespace, revisions=names)

    def _unseen(self, service: str, revision: str) -> UnavailableError:
        return UnavailableError(
            ATTEMPTED,
            f"{service}, {self._prometheus.name}",
            f"no pod of {revision} in {self._namespace} is scraped: set request-metrics-protocol: "
            "prometheus in Knative's config-observability, and let a PodMonitor scrape the port "
            "http-usermetric (9091) of its pods",
        )
