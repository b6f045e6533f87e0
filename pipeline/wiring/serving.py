"""What images are deployed to, where they are tried first, and where their requests are counted."""

import os
from dataclasses import dataclass

from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.kserve_serving import KServeServing
from pipeline.adapters.local_runner import LocalRunner
from pipeline.adapters.local_serving import LocalServing
from pipeline.adapters.pod_runner import PodRunner
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.errors import ConfigurationError
from pipeline.image.config import host_platform
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import Cluster, connect
from pipeline.local.front import Front
from pipeline.local.processes import why_no_isolation
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor
from pipeline.ports import ImageRegistry, Metrics, ModelRunner, ServingTarget
from pipeline.settings import Settings
from pipeline.settings.secrets import revealed
from pipeline.settings.serving import ServingSettings
from pipeline.wiring.images import cache_folder


@dataclass(frozen=True, slots=True)
class Serving:
    """A target with what belongs to it."""

    target: ServingTarget
    metrics: Metrics
    runner: ModelRunner


def build_serving(settings: Settings, images: ImageRegistry) -> Serving:
    """Put together what images are tried, deployed and counted with.

    Raises
    ------
    ConfigurationError
        Where this machine cannot isolate model code and nobody chose to go without, or where the
        cluster cannot be logged in to.

    """
    if settings.serving.target == "kserve":
        return Serving(_kserve(settings), _counted(settings), _runner(settings, images))
    runner, front = _sandbox(settings, images), _front(settings)
    return Serving(_local(settings, images, front), EnvoyMetrics(front), runner)


def target_of(settings: Settings, images: ImageRegistry) -> ServingTarget:
    """Make the serving target."""
    if settings.serving.target == "kserve":
        return _kserve(settings)
    return _local(settings, images, _front(settings))


def local_target(settings: Settings, images: ImageRegistry) -> LocalServing:
    """Make the target of this machine; ``ConfigurationError`` where services are elsewhere."""
    if settings.serving.target != "local":
        raise ConfigurationError(
            "laurel down ends what `serving: local` keeps on this machine, and these services are "
            f"on a cluster: kubectl delete inferenceservice NAME -n {settings.serving.namespace} "
            "removes one; replicas: {min: 0} lets it have no pods while nobody asks"
        )
    return _local(settings, images, _front(settings))


def _kserve(settings: Settings) -> KServeServing:
    serving = settings.serving
    smoke = _log_in(settings, serving.smoke_namespace) if _in_pods(serving) else None
    return KServeServing(
        _log_in(settings, _namespace(serving)),
        Gateway(serving.gateway),
        platforms=serving.platforms or (host_platform(),),
        smoke=smoke,
    )


def _counted(settings: Settings) -> Metrics:
    metrics, namespace = settings.metrics, _namespace(settings.serving)
    token, ca_file = revealed(metrics.token) or None, metrics.ca_file
    if metrics.source == "prometheus":
        (url,) = metrics.urls
        return PrometheusMetrics(url, namespace=namespace, token=token, ca_file=ca_file)
    return GatewayMetrics(metrics.urls, namespace=namespace, token=token, ca_file=ca_file)


def _runner(settings: Settings, images: ImageRegistry) -> ModelRunner:
    serving = settings.serving
    if not _in_pods(serving):
        return _sandbox(settings, images)
    return PodRunner(_log_in(settings, serving.smoke_namespace), serving.smoke_limits)


def _log_in(settings: Settings, namespace: str) -> Cluster:
    serving = settings.serving
    return connect(kubeconfig=serving.kubeconfig, context=serving.context, namespace=namespace)


def _in_pods(serving: ServingSettings) -> bool:
    """Tell whether images are tried in pods: always where Laurel lives in one, unless told not."""
    if serving.smoke is not None:
        return serving.smoke == "pod"
    chosen = serving.kubeconfig is not None or serving.context is not None
    return not chosen and "KUBERNETES_SERVICE_HOST" in os.environ


def _namespace(serving: ServingSettings) -> str:
    return serving.namespace or ""  # the settings have one with this target


def _front(settings: Settings) -> Front:
    return Front(settings.serving.state, port=settings.serving.port)


def _local(settings: Settings, images: ImageRegistry, front: Front) -> LocalServing:
    rootfs = _rootfs(settings, images)
    return LocalServing(Supervisor(front, rootfs, isolated=_isolated(settings)), front, rootfs)


def _sandbox(settings: Settings, images: ImageRegistry) -> LocalRunner:
    isolated = _isolated(settings)
    if isolated and (why := why_no_isolation()) is not None:
        raise ConfigurationError(
            f"model code cannot be isolated here: {why}; run as root, allow user namespaces, or "
            "set serving.isolation: none where every model is trusted"
        )
    return LocalRunner(_rootfs(settings, images), isolated=isolated)


def _rootfs(settings: Settings, images: ImageRegistry) -> RootfsCache:
    return RootfsCache(cache_folder(settings) / "unpacked", images)


def _isolated(settings: Settings) -> bool:
    return settings.serving.isolation == "namespaces"
