"""What sections of laurel.yaml mean together: whether they fit what images are deployed to."""

import ipaddress
from collections.abc import Iterable, Iterator

from pipeline.settings.sections import RegistrySettings
from pipeline.settings.services import ServiceSettings
from pipeline.settings.serving import MetricsSettings, ServingSettings

_LONGEST_NAME = 46  # `latest-NAME-predictor` is a label of the canary's host name
_EXAMPLE = {"envoy": "http://GATEWAY:9000", "prometheus": "http://PROMETHEUS:9090"}
_CLUSTERS = {"url", "ca_file", "token"}


def unfit(
    serving: ServingSettings,
    metrics: MetricsSettings,
    registry: RegistrySettings,
    services: Iterable[ServiceSettings],
) -> Iterator[str]:
    """Name each key that does not fit the target, with the fix."""
    if serving.target == "local":
        yield from _not_here(metrics)
        return
    yield from _uncounted(metrics)
    if registry.folder is not None:
        yield (
            "registry: the nodes of a cluster cannot pull from a folder: write registry: HOST/NAME "
            "with serving.target kserve"
        )
    else:
        for service in services:
            yield from _of_service(service, serving, registry)


def _not_here(metrics: MetricsSettings) -> Iterator[str]:
    if metrics.source != "envoy":
        yield (
            f"metrics.source: {metrics.source} reads what a cluster reports, and serving.target is "
            "local: write metrics: envoy"
        )
    for key in sorted(metrics.model_fields_set & _CLUSTERS):
        yield f"metrics.{key} is a key of serving.target kserve, and target is local: take it out"


def _uncounted(metrics: MetricsSettings) -> Iterator[str]:
    if not metrics.urls:
        yield (
            f"metrics.url: with serving.target kserve write metrics: {{source: {metrics.source}, "
            f"url: {_EXAMPLE[metrics.source]}}}"
        )
    if metrics.source == "prometheus" and len(metrics.urls) > 1:
        yield "metrics.url: one Prometheus, or what stands before several of them"


def _of_service(
    service: ServiceSettings, serving: ServingSettings, registry: RegistrySettings
) -> Iterator[str]:
    where = f"services.{service.name}"
    if len(service.name) > _LONGEST_NAME:
        yield (
            f"{where}.name: {len(service.name)} letters, and with KServe's own parts no host name "
            f"takes more than {_LONGEST_NAME}: choose a shorter one"
        )
    if service.timeout is not None and service.timeout > serving.max_timeout:
        yield (
            f"{where}.timeout: {service.timeout} s is longer than the cluster's longest, "
            f"{serving.max_timeout} s: shorten it, or raise Knative's max-revision-timeout-seconds "
            "and serving.max_timeout"
        )
    host = service.plan("", registry, "layers").repository.partition("/")[0]
    if _is_loopback(host) and host not in registry.plain_http:
        yield (
            f"{where}.repository: {host} is each node's own, which has no registry: write its name "
            f"as nodes know it; or, where nodes reach it so, registry.plain_http: ['{host}']"
        )


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
