"""Envoy's statistics in Prometheus' text format, read as they come: one line is in memory at once.

Kourier names a revision's cluster ``<namespace>/<revision>``, Istio
``outbound|80||<revision>.<namespace>.svc.<cluster domain>``; Istio's own rules for labels leave
``envoy_`` out, and write classes as ``5xx`` where Envoy's write ``5``.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO, cast

from prometheus_client.parser import text_fd_to_metric_families
from prometheus_client.samples import Sample

from pipeline.domain.envoy import COMPLETED, LATENCY, STARTED, statistics_filter
from pipeline.domain.serving import RequestTotals, is_failure

_LONGEST = 1 << 20  # of a line
_BEGIN = "envoy_cluster_"
_BY_CLASS = (f"{_BEGIN}upstream_rq_xx", f"{_BEGIN}upstream_rq")
"""Where ``upstream_rq_5xx`` is, by Envoy's own rules and by Istio's."""
_BUCKETS = f"{_BEGIN}{LATENCY}_bucket"
_NAMES = (*_BY_CLASS, _BUCKETS, f"{_BEGIN}{COMPLETED}", f"{_BEGIN}{STARTED}")
_WANTED = tuple(f"{name}{{" for name in _NAMES)


class Clusters:
    """Which clusters belong to which of these revisions."""

    def __init__(self, namespace: str, revisions: Iterable[str]) -> None:
        self.revisions = sorted(set(revisions))
        self._patterns = {name: re.compile(_cluster(namespace, name)) for name in self.revisions}
        self.filter = statistics_filter(of.pattern for of in self._patterns.values())

    def may_be_in(self, line: str) -> bool:
        """Tell at small cost whether a line is worth parsing: not every Envoy heeds a filter."""
        return line.startswith(_WANTED) and any(name in line for name in self.revisions)

    def revision_of(self, cluster: str) -> str | None:
        """Name the revision that a cluster is for."""
        return next((name for name, of in self._patterns.items() if of.fullmatch(cluster)), None)


@dataclass(slots=True)
class _Counted:
    completed: int = 0
    failed: int = 0
    buckets: dict[float, int] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        labels, value = sample.labels, int(sample.value)
        if sample.name == _BUCKETS:
            edge = float(labels["le"])
            self.buckets[edge] = self.buckets.get(edge, 0) + value
        elif sample.name == f"{_BEGIN}{COMPLETED}":
            self.completed += value
        elif sample.name in _BY_CLASS and is_failure(_class_of(labels)):
            self.failed += value


def totals_in(pieces: Iterable[bytes], clusters: Clusters) -> dict[str, RequestTotals]:
    """Read ``{revision: totals}`` of the revisions that have a cluster there.

    ``ValueError`` where it is no such text.
    """
    found: dict[str, _Counted] = {}
    lines = (line for line in _lines(pieces) if clusters.may_be_in(line))
    for family in text_fd_to_metric_families(cast("TextIO", lines)):  # it only iterates
        for sample in family.samples:
            revision = clusters.revision_of(_cluster_of(sample.labels))
            if revision is not None:
                found.setdefault(revision, _Counted()).add(sample)
    return {
        revision: RequestTotals(said.completed, said.failed, tuple(sorted(said.buckets.items())))
        for revision, said in found.items()
    }


def _cluster(namespace: str, revision: str) -> str:
    space, name = re.escape(namespace), re.escape(revision)
    return rf"(?:{space}/{name}|outbound\|[0-9]+\|[^|]*\|{name}\.{space}\.svc\.[a-z0-9.-]+)"


def _cluster_of(labels: dict[str, str]) -> str:
    return labels.get("envoy_cluster_name") or labels.get("cluster_name", "")


def _class_of(labels: dict[str, str]) -> str:
    return labels.get("envoy_response_code_class") or labels.get("response_code_class", "")


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST:
            raise ValueError("a line without an end")
        yield from (line.decode() for line in lines)
    yield rest.decode()
