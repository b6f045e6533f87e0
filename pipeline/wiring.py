"""Settings to adapters: the only place that names them. Nothing is decided or started here."""

import hashlib
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.bases import Bases
from pipeline.adapters.cache_limit import CacheLimit
from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.adapters.docker_builder import DockerBuilder
from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.local_runner import LocalRunner
from pipeline.adapters.local_serving import LocalServing
from pipeline.adapters.lock_environments import LockEnvironments
from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_registry import MlflowRegistry
from pipeline.adapters.mlflow_rest import Credentials, MlflowRest
from pipeline.adapters.own_package import own_files
from pipeline.adapters.registries import Registries
from pipeline.adapters.remembered_locks import RememberedLocks
from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.adapters.system_clock import SystemClock
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.distribution.credentials import Credentials as RegistryLogins
from pipeline.distribution.transport import Transport
from pipeline.domain.content import File
from pipeline.domain.policy import TrustPolicy
from pipeline.errors import ConfigurationError
from pipeline.local.front import Front
from pipeline.local.processes import why_no_isolation
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor
from pipeline.ports import Clock, ImageBuilder, ImageRegistry, LockResolver
from pipeline.settings import Settings
from pipeline.settings.secrets import key_password, read_secret, revealed
from pipeline.settings.sections import ServerSettings
from pipeline.trust.key_file import load_key_file

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline.collection.survey import Survey
    from pipeline.ledger import Ledger
    from pipeline.promote import Tools
    from pipeline.worker import Worker


def open_ledger(settings: Settings) -> "Ledger":
    """Open the ledger and bring its schema to the newest version."""
    from pipeline.ledger import Ledger  # noqa: PLC0415 - verify and down need no database

    ledger = Ledger(settings.ledger)
    ledger.migrate()
    return ledger


def open_images(settings: Settings) -> ImageRegistry:
    """Open the image registry; beside a layout, repositories that name a host are there."""
    layout, remote = open_layout(settings), _remote(settings)
    return remote if layout is None else Registries(layout, remote)


def open_layout(settings: Settings) -> LayoutRegistry | None:
    """Open the image layout, where images go into one."""
    folder = settings.registry.folder
    return None if folder is None else LayoutRegistry(folder)


def signer(settings: Settings) -> KeyFileSigner:
    """Load the signing key."""
    return KeyFileSigner(load_key_file(settings.signing.key, key_password(settings.signing)))


def trust_policy(settings: Settings) -> TrustPolicy:
    """Say whose images are deployed: those signed with this deployment's key."""
    public = settings.signing.key.with_suffix(".pub")
    try:
        keys = (public.read_bytes(),)
    except FileNotFoundError:
        keys = (signer(settings).public_key_pem,)
    return TrustPolicy(keys, settings.signing.builder, settings.mlflow.url)


def build_target(settings: Settings) -> LocalServing:
    """Make the serving target."""
    return _local(settings, open_images(settings))[0]


def build_tools(settings: Settings, clock: Clock | None = None) -> "Tools":
    """Put together everything that a promotion works with.

    Raises
    ------
    ConfigurationError
        Where this machine cannot isolate model code and nobody chose to go without.

    """
    from pipeline.promote import Tools  # noqa: PLC0415 - a receiver needs no engine, nor do they

    isolated = settings.serving.isolation == "namespaces"
    if isolated and (why := why_no_isolation()) is not None:
        raise ConfigurationError(
            f"model code cannot be isolated here: {why}; run as root, allow user namespaces, or "
            "set serving.isolation: none where every model is trusted"
        )
    clock = clock or SystemClock()
    images = open_images(settings)
    target, front, rootfs = _local(settings, images)
    mlflow = _mlflow(settings)
    store = LayerStore(cache_folder(settings) / "layers")
    resolver = RememberedLocks(UvResolver(), cache_folder(settings) / "locks", clock)
    return Tools(
        models=MlflowRegistry(mlflow),
        artifacts=MlflowArtifacts(mlflow),
        resolver=resolver,
        builder=_builder(settings, resolver, store),
        images=images,
        runner=LocalRunner(rootfs, isolated=isolated),
        signer=signer(settings),
        policy=trust_policy(settings),
        target=target,
        metrics=EnvoyMetrics(front),
        clock=clock,
    )


def build_worker(settings: Settings, ledger: "Ledger", *, clock: Clock | None = None) -> "Worker":
    """Put a worker together; raises as :func:`build_tools` does."""
    from pipeline.reconciler import Reconciler  # noqa: PLC0415 - a receiver needs neither
    from pipeline.worker import Worker  # noqa: PLC0415 - as above

    tools = build_tools(settings, clock)
    plans = settings.plans()
    poll = timedelta(seconds=settings.mlflow.poll)
    return Worker(
        ledger,
        tools,
        Reconciler(ledger, tools.models, plans, tools.clock, poll),
        plans,
        checkpoints=settings.worker.engine,
        heavy=settings.worker.heavy,
        poll=settings.worker.poll,
        tidy=cache_limit(settings).tidy,
    )


def cache_limit(settings: Settings) -> CacheLimit:
    """Bound the local caches as the settings say."""
    return CacheLimit(cache_folder(settings), settings.worker.cache_limit)


def build_survey(settings: Settings, ledger: "Ledger") -> "Survey":
    """Put together what finds images that nothing needs any more."""
    from pipeline.collection.survey import Survey  # noqa: PLC0415 - a receiver needs none

    layout = open_layout(settings)
    more = {} if layout is None else {"stored": layout.stored}
    return Survey(
        settings.plans(),
        ledger,
        target=build_target(settings),
        registry=open_images(settings),
        policy=trust_policy(settings),
        keep=settings.history.keep,
        clock=SystemClock(),
        **more,
    )


def build_receiver(
    settings: Settings, ledger: "Ledger", wake: Callable[[], None] | None = None
) -> "FastAPI":
    """Put the HTTP face together; ``wake`` is called when something was accepted."""
    from webhook_service.app import create_app  # noqa: PLC0415 - a worker needs no web framework
    from webhook_service.config import ReceiverConfig, Role, Token  # noqa: PLC0415 - as above

    token = read_secret(settings.server.token_file, "run `laurel up`, which makes one")
    config = ReceiverConfig(
        services=settings.plans(),
        secrets=lambda: [
            read_secret(path, "laurel init") for path in settings.webhook.secret_files
        ],
        tokens=(Token("operator", hashlib.sha256(token).hexdigest(), Role.OPERATOR),),
        allowed_hosts=_names(settings.server),
        target=settings.serving.target,
        tolerance=timedelta(seconds=settings.webhook.tolerance),
        wake=wake or (lambda: None),
    )
    return create_app(ledger, config)


def _names(server: ServerSettings) -> frozenset[str]:
    """List the Host headers that mean this server; IPv6 addresses stand in brackets there."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return frozenset({"localhost", "127.0.0.1", "[::1]", host.lower(), *server.allowed_hosts})


def cache_folder(settings: Settings) -> Path:
    """Name the folder of layers and unpacked images that every ledger of this user shares."""
    if settings.worker.cache is not None:
        return settings.worker.cache
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "laurel"


def _local(settings: Settings, images: ImageRegistry) -> tuple[LocalServing, Front, RootfsCache]:
    front = Front(settings.serving.state, port=settings.serving.port)
    rootfs = RootfsCache(cache_folder(settings) / "unpacked", images)
    isolated = settings.serving.isolation == "namespaces"
    return LocalServing(Supervisor(front, rootfs, isolated=isolated), front, rootfs), front, rootfs


def own_image_tools(
    settings: Settings,
) -> tuple[ImageBuilder, Callable[[Path], tuple[File, ...]]]:
    """Lend what makes Laurel's own image: its layers, and this installation as files."""
    store = LayerStore(cache_folder(settings) / "layers")
    builder = LayerBuilder(_bases(settings, store), LockEnvironments(UvResolver(), store))
    return builder, partial(own_files, python=Path(sys.executable))


def _builder(settings: Settings, resolver: LockResolver, store: LayerStore) -> ImageBuilder:
    bases = _bases(settings, store)
    if settings.builder == "docker":
        return DockerBuilder(bases, cache_folder(settings) / "docker")
    return LayerBuilder(bases, LockEnvironments(resolver, store))


def _bases(settings: Settings, store: LayerStore) -> Bases:
    """Make what images stand on; where they go into a layout, foreign bases are fetched there."""
    elsewhere = _remote(settings) if settings.registry.folder is not None else None
    return Bases(HostBase(store), ImageBase(cache_folder(settings) / "bases", elsewhere))


def _remote(settings: Settings) -> RemoteRegistry:
    registry = settings.registry
    transport = Transport(
        RegistryLogins(), ca_file=registry.ca_file, plain_http=registry.plain_http
    )
    return RemoteRegistry(transport)


def _mlflow(settings: Settings) -> MlflowRest:
    mlflow = settings.mlflow
    credentials = None
    if mlflow.token is not None:
        credentials = Credentials.bearer(revealed(mlflow.token))
    elif mlflow.username is not None:
        credentials = Credentials.basic(mlflow.username, revealed(mlflow.password))
    return MlflowRest(mlflow.url, credentials)
