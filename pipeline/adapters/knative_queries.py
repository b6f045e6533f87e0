"""The PromQL that finds the request counters of named Knative revisions, of every age of Knative.

=========================================== ============== =========================================
series (histograms; counts are ``+Inf``)    Knative        what it sees
=========================================== ============== =========================================
http_server_request_duration_seconds        1.19 and later all that reaches a queue-proxy, or an
                                                           activator, with the status users got
kn_serving_invocation_duration_seconds      1.20.1, later  what the model itself answered
kn_queueproxy_app_duration_seconds          1.19 to 1.20.0 the same, under its first name
revision_request_latencies                  until 1.18     all that reaches a queue-proxy; in ms
revision_app_request_latencies              until 1.18     what the model itself answered; in ms
=========================================== ============== =========================================

The model's own series miss timeouts, overflowing queues and what never reached a pod, and early
releases of the two ``kn_`` ones count latencies in whole seconds: they serve where the others were
dropped. Names of revisions are matched whole: Prometheus anchors its regular expressions.
"""

import json
import re
from collections.abc import Iterable

_WINDOW = "10m"
"""For which a pod's last counters are remembered: a scrape that fails must not look like a restart.

A series without a ``pod`` label may go on as another pod's, at the same address: those are taken
only as they are now.
"""
_PORT = ":9091"  # networking.UserQueueMetricsPort of knative.dev/serving
_POD_OF = "-deployment-[a-z0-9]{1,10}-[a-z0-9]{5}"
_APP = ("kn_serving_invocation_duration_seconds", "kn_queueproxy_app_duration_seconds")
_WHOLE = "http_server_request_duration_seconds"
_OLD = ("revision_request_latencies", "revision_app_request_latencies")


def pod_pattern(revision: str) -> str:
    """Match the names of a revision's pods, where they are short enough to hold it in full."""
    return re.escape(revision) + _POD_OF


def scraped(namespace: str, revisions: Iterable[str]) -> str:
    """Ask whose counters are there: ``target_info`` of pods and activators, else ``up``."""
    names = sorted(revisions)
    port = f"instance=~{_quoted('.+' + re.escape(_PORT))}"
    return _any(
        *_recent("target_info", f"{_owned(namespace)},kn_revision_name=~{_one_of(names)}"),
        *_recent("target_info", 'service_name="activator",kn_revision_name=""'),
        *(f"up{{{chosen},{port}}} == 1" for chosen in _labelled(namespace, names)),
    )


def counted(namespace: str, revisions: Iterable[str], instances: Iterable[str]) -> str:
    """Ask for the buckets of these revisions; ``instances`` are where their pods are scraped."""
    names = sorted(revisions)
    chosen = [
        f"{_owned(namespace)},kn_revision_name=~{_one_of(names)}",
        *_labelled(namespace, names),
    ]
    if at := sorted(instances):
        chosen.append(f"instance=~{_one_of(at)}")
    own = f"namespace_name={_quoted(namespace)},revision_name=~{_one_of(names)}"
    return _any(
        *(part for each in chosen for part in _recent(f"{_WHOLE}_bucket", each)),
        *(part for name in _APP for each in chosen for part in _recent(f"{name}_bucket", each)),
        *(part for name in _OLD for part in _recent(f"{name}_bucket", own)),
    )


def _recent(metric: str, chosen: str) -> tuple[str, str]:
    remembered = f'last_over_time({metric}{{{chosen},pod!=""}}[{_WINDOW}])'
    return remembered, f'{metric}{{{chosen},pod=""}}'


def _labelled(namespace: str, names: list[str]) -> tuple[str, str]:
    """Choose by labels of the scrape: the pod's own label, relabelled, or the pod's name."""
    pods = "|".join(map(pod_pattern, names))
    owned = f"namespace={_quoted(namespace)}"
    return (
        f"{owned},serving_knative_dev_revision=~{_one_of(names)}",
        f"{owned},pod=~{_quoted(pods)}",
    )


def _owned(namespace: str) -> str:
    return f"k8s_namespace_name={_quoted(namespace)}"


def _one_of(names: Iterable[str]) -> str:
    return _quoted("|".join(map(re.escape, names)))


def _quoted(text: str) -> str:
    return json.dumps(text)


def _any(*expressions: str) -> str:
    return " or ".join(expressions)
