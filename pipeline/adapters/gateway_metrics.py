"""Reads request counters from a cluster's gateways, Kourier's or Istio's; implements ``Metrics``.

Both run Envoy, which is asked for the clusters of the judged revisions alone: of thousands of
others it says nothing then.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.adapters.count_source import ATTEMPTED, CountSource, Place
from pipeline.adapters.envoy_text import Clusters, totals_in
from pipeline.domain.serving import RequestTotals
from pipeline.errors import ConfigurationError, UnavailableError

_PATH = "/stats/prometheus"
_Answers = dict[str, dict[str, RequestTotals]]
"""By place and revision."""


class GatewayMetrics:
    """Counters of the gateways' Envoys, one series per address.

    Latencies follow the counters by up to Envoy's flush interval, 5 s unless configured.

    Parameters
    ----------
    urls
        Where they tell their statistics, as ``http(s)://host:port``; a name with several addresses
        is several gateways, so that a headless Service names them all.
    namespace
        Where the revisions are.
    token, ca_file
        For gateways behind something that asks who we are.

    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        namespace: str,
        token: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        if not urls:
            raise ConfigurationError("metrics.url names no gateway: write http://host:9000")
        self._sources = tuple(
            CountSource(
                url.rstrip("/").removesuffix(_PATH),
                called="the gateway",
                token=token,
                ca_file=ca_file,
            )
            for url in urls
        )
        self._namespace = namespace

    def close(self) -> None:
        """Close every connection."""
        for source in self._sources:
            source.close()

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        """Read ``{revision: {series: totals}}``; one that a gateway does not route to has none.

        Raises
        ------
        UnavailableError
            Where no gateway answers, or none routes to any of these revisions.

        """
        clusters = Clusters(self._namespace, revisions)
        read: dict[str, dict[str, RequestTotals]] = {name: {} for name in clusters.revisions}
        for place, counted in self._answers(service, clusters).items():
            for revision, totals in counted.items():
                read[revision][place] = totals
        if not any(read.values()):
            raise self._unrouted(service, clusters)
        return read

    def _answers(self, service: str, clusters: Clusters) -> _Answers:
        """Ask every gateway; those that answer are enough, for one that is away sends nothing."""
        answers: _Answers = {}
        silent: UnavailableError | None = None
        for source in self._sources:
            try:
                places = source.places(service)
            except UnavailableError as error:
                silent, places = error, ()
            for place in places:
                try:
                    answers[place.name] = self._asked(source, place, service, clusters)
                except UnavailableError as error:
                    silent = error
        if silent is not None and not answers:
            raise silent
        return answers

    def _asked(
        self, source: CountSource, place: Place, service: str, clusters: Clusters
    ) -> dict[str, RequestTotals]:
        fields = {"filter": clusters.filter}
        with source.ask(place, _PATH, subject=service, fields=fields) as pieces:
            try:
                return totals_in(pieces, clusters)
            except (ValueError, OverflowError, KeyError) as error:
                raise source.nonsense(service, "its answer is not Envoy's statistics") from error

    def _unrouted(self, service: str, clusters: Clusters) -> UnavailableError:
        gateways = ", ".join(source.name for source in self._sources)
        return UnavailableError(
            ATTEMPTED,
            f"{service}, {gateways}",
            f"no cluster there is for {' or '.join(clusters.revisions)} in {self._namespace}: "
            "let metrics.url name the gateways of this namespace, and with Istio let "
            "proxyStatsMatcher include their upstream_rq statistics",
        )
