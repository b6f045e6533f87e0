"""What Envoy's statistics say of the requests that it sent to a cluster, whatever runs Envoy.

A refused connection, a reset, a timeout and a cluster without endpoints count as completed and as
failed, with the 503 or 504 that Envoy itself answers then; ``upstream_rq_total`` leaves some out.
A try that is tried again counts in neither, and neither does a client that hangs up first.
"""

from collections.abc import Iterable

COMPLETED = "upstream_rq_completed"
FAILED = "upstream_rq_5xx"
LATENCY = "upstream_rq_time"
"""A histogram in milliseconds; it moves on a flush only, and misses what found no connection."""
STARTED = "upstream_rq_total"
"""There from the start, as ``COMPLETED`` and ``FAILED`` are not: it tells that a cluster exists."""


def statistics_filter(clusters: Iterable[str]) -> str:
    """Write the regular expression that selects these clusters' request statistics.

    ``clusters`` are regular expressions too; Istio ends a cluster's name there with a semicolon.
    """
    statistics = f"{COMPLETED}|{FAILED}|{LATENCY}|{STARTED}"
    return rf"^cluster\.({'|'.join(sorted(clusters))});?\.({statistics})$"
