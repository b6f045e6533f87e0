"""What the labels of Knative's request counters mean: whose they are, and what they count.

Queue-proxies put no revision on their series; ``target_info`` of the same scrape tells it, so both
are joined on all labels that they share. The same pod may be scraped by several jobs or several
Prometheus servers: series that differ in nothing that Knative wrote are copies of one counter.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address

from pipeline.adapters.knative_queries import pod_pattern
from pipeline.domain.serving import RequestTotals, is_failure

Labels = Mapping[str, str]

_OF_A_REQUEST = re.compile(r"(http|network|server|url|error|response_code|route_tag|kn_route_tag)")
"""Begins the labels by which Knative splits its counters; all others come with the scrape."""
_OF_A_POD = ("k8s_pod_name", "pod_name", "exported_pod", "pod", "instance")
_STATUS = "http_response_status_code"
_OLD_STATUS = "response_code"


class View(IntEnum):
    """Who counted; of one pod's counters the first kind that is there is taken."""

    ACTIVATOR = 0
    PROXY = 1
    APP = 2
    OLD_PROXY = 3
    OLD_APP = 4


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod whose counters are scraped, and the revision it belongs to."""

    revision: str
    name: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a pod or an activator: requests that ended alike."""

    pod: Pod
    view: View
    status: str
    attributes: tuple[tuple[str, str], ...]

    @property
    def series(self) -> str:
        """Name it, apart from all others of its revision."""
        words = " ".join(f"{name}={value}" for name, value in self.attributes)
        return f"{self.pod.name} {self.view.name.lower()} {words}"

    @property
    def through_activator(self) -> bool:
        """Whether an activator counted these requests too: it calls a pod by its address."""
        called = dict(self.attributes).get("server_address", "")
        return self.view is View.PROXY and (
            _is_address(called) or called.startswith(f"{self.pod.revision}-private.")
        )

    def totals(self, buckets: Mapping[float, int]) -> RequestTotals:
        """Read the histogram: all that it holds was completed."""
        completed = max(buckets.values())
        return RequestTotals(
            completed=completed,
            failed=completed if is_failure(self.status) else 0,
            buckets=tuple(sorted(buckets.items())),
        )


class Scraped:
    """The pods and activators that ``target_info`` and ``up`` tell of.

    Parameters
    ----------
    rows
        Their labels.
    namespace, revisions
        Whose pods are looked for.

    """

    def __init__(self, rows: Iterable[Labels], *, namespace: str, revisions: Iterable[str]) -> None:
        self._rows = list(rows)
        self._at: dict[str, list[Labels]] = {}
        for row in self._rows:
            self._at.setdefault(row.get("instance", ""), []).append(row)
        self._namespace = namespace
        self._patterns = {name: re.compile(pod_pattern(name)) for name in revisions}

    @property
    def activators(self) -> bool:
        """Whether activators are scraped: then they count what goes through them."""
        return any(_is_activator(row) for row in self._rows)

    @property
    def instances(self) -> set[str]:
        """Where the pods' counters come from."""
        return {row["instance"] for row in self._rows if "instance" in row and self._pod(row)}

    def pods(self) -> set[Pod]:
        """Find the pods of the revisions."""
        found = {self._pod(row) for row in self._rows}
        return {pod for pod in found if pod is not None}

    def counters(self, samples: Iterable[tuple[Labels, float]]) -> dict[Counter, dict[float, int]]:
        """Collect histograms by counter; of copies the one that is ahead counts.

        The one ahead, because two scrapes are never of the same moment: taking now one, now the
        other would look like a counter that dropped, which is a restart.
        """
        found: dict[Counter, dict[float, int]] = {}
        for labels, value in samples:
            counter = self._counter(labels)
            if counter is not None:
                buckets = found.setdefault(counter, {})
                edge = _edge(labels)
                buckets[edge] = max(buckets.get(edge, 0), int(value))
        return found

    def _counter(self, labels: Labels) -> Counter | None:
        pod = self._pod(labels) or self._joined(labels)
        status = labels.get(_STATUS) or labels.get(_OLD_STATUS)
        if pod is None or status is None or "le" not in labels:
            return None
        attributes = tuple(
            sorted((name, value) for name, value in labels.items() if _OF_A_REQUEST.match(name))
        )
        return Counter(pod, _view(labels), status, attributes)

    def _pod(self, labels: Labels) -> Pod | None:
        """Read the revision from labels alone: Knative's own, the relabelled one, the name."""
        name = next((labels[of] for of in _OF_A_POD if labels.get(of)), "")
        revision = labels.get("kn_revision_name") or labels.get("revision_name")
        if revision is None and labels.get("namespace") == self._namespace:
            revision = labels.get("serving_knative_dev_revision") or self._named(name)
        return Pod(revision, name) if revision in self._patterns else None

    def _named(self, pod: str) -> str | None:
        return next((name for name, of in self._patterns.items() if of.fullmatch(pod)), None)

    def _joined(self, labels: Labels) -> Pod | None:
        """Find the pod whose scrape gave this sample too."""
        for row in self._at.get(labels.get("instance", ""), ()):
            shared = (row.keys() & labels.keys()) - {"__name__"}
            if all(row[name] == labels[name] for name in shared) and (pod := self._pod(row)):
                return pod
        return None


def _is_activator(row: Labels) -> bool:
    return row.get("service_name") == "activator" and "kn_revision_name" not in row


def _view(labels: Labels) -> View:
    if _OLD_STATUS in labels:
        return View.OLD_PROXY if "route_tag" in labels else View.OLD_APP
    if "http_request_method" not in labels:
        return View.APP
    return View.PROXY if "kn_route_tag" in labels else View.ACTIVATOR


def _edge(labels: Labels) -> float:
    """Read a bucket's edge in milliseconds."""
    edge = float(labels["le"])
    return edge if _OLD_STATUS in labels else round(edge * 1000, 6)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def chosen(counters: Iterable[Counter], *, activators: bool) -> Iterator[Counter]:
    """Choose so that each request is counted once.

    Of one pod, the first view that is there. Where activators are scraped they count what goes
    through them, with what they answer for pods that cannot, and the pods count the rest; a pod
    whose requests do not tell which way they came counts them all, and its activators nothing.
    """
    known = list(counters)
    best: dict[Pod, View] = {}
    for counter in known:
        if counter.view is not View.ACTIVATOR:
            best[counter.pod] = min(counter.view, best.get(counter.pod, counter.view))
    untold = {pod.revision for pod, view in best.items() if view is not View.PROXY}
    for counter in known:
        split = activators and counter.pod.revision not in untold
        if counter.view is View.ACTIVATOR:
            wanted = split
        else:
            wanted = counter.view is best[counter.pod] and not (split and counter.through_activator)
        if wanted:
            yield counter
