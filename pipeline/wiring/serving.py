"""What images are deployed to, where they are tried first, and where their requests are counted."""

from dataclasses import dataclass

from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.adapters.local_runner import LocalRunner
from pipeline.adapters.local_serving import LocalServing
from pipeline.errors import ConfigurationError
from pipeline.local.front import Front
from pipeline.local.processes import why_no_isolation
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor
from pipeline.ports import ImageRegistry, Metrics, ModelRunner, ServingTarget
from pipeline.settings import Settings
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
        Where this machine cannot isolate model code and nobody chose to go without.

    """
    runner = _sandbox(settings, images)
    front = _front(settings)
    return Serving(_local(settings, images, front), EnvoyMetrics(front), runner)


def target_of(settings: Settings, images: ImageRegistry) -> ServingTarget:
    """Make the serving target."""
    return _local(settings, images, _front(settings))


def local_target(settings: Settings, images: ImageRegistry) -> LocalServing:
    """Make the target of this machine; ``ConfigurationError`` where services are elsewhere."""
    return _local(settings, images, _front(settings))


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
