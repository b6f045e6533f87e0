"""Reads request counters from the front's own statistics; implements :class:`Metrics`."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pipeline.domain.envoy import COMPLETED, FAILED
from pipeline.domain.serving import RequestTotals
from pipeline.errors import UnavailableError
from pipeline.local.front import Front
from pipeline.local.xds import revision_of

_COUNTERS = {COMPLETED: "completed", FAILED: "failed"}


class EnvoyMetrics:
    """Counters per revision since the Envoy that runs now was started.

    Latencies follow the counters by up to 0.2 s; what counts is said in ``pipeline.domain.envoy``.
    """

    def __init__(self, front: Front) -> None:
        self._front = front

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        """Read ``{revision: {series: totals}}``; another Envoy is another series."""
        process = self._front.process()
        if process is None:
            raise UnavailableError("read statistics", service, "no Envoy runs: start `laurel up`")
        names = set(revisions)
        series = f"envoy-{process.start}-{process.pid}"
        totals = dict.fromkeys(names, RequestTotals())
        for name, change in _changes(self._front.statistics(names)):
            totals[name] = replace(totals[name], **change)
        return {name: {series: totals[name]} for name in names}


def _changes(said: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for stat in said["stats"]:
        for histogram in stat.get("histograms", ()):
            buckets = tuple((b["upper_bound"], b["cumulative"]) for b in histogram["buckets"])
            yield _revision_and_statistic(histogram["name"])[0], {"buckets": buckets}
        revision, statistic = _revision_and_statistic(stat.get("name", ""))
        if statistic in _COUNTERS:
            yield revision, {_COUNTERS[statistic]: stat["value"]}


def _revision_and_statistic(name: str) -> tuple[str, str]:
    cluster, _, statistic = name.removeprefix("cluster.").rpartition(".")
    return revision_of(cluster), statistic
