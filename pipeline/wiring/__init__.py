"""Settings to adapters: the only place that names them. Nothing is decided or started here.

::

    access.py   who may call
    mlflow.py   where models come from, and the webhook that tells of them
    images.py   where images go, and what makes them
    serving.py  what they are deployed to, tried in and counted with
    people.py   what promotions wait for before they get traffic
    notify.py   who is told what became of promotions
    doctor.py   what is looked at before anything goes wrong
"""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.adapters.local_serving import LocalServing
from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_registry import MlflowRegistry
from pipeline.adapters.remembered_locks import RememberedLocks
from pipeline.adapters.system_clock import SystemClock
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.domain.policy import TrustPolicy
from pipeline.ports import Clock, ServingTarget
from pipeline.settings import Settings
from pipeline.settings.secrets import key_password, webhook_secrets
from pipeline.settings.sections import ServerSettings
from pipeline.trust.key_file import load_key_file
from pipeline.wiring.access import local_token, rollback_secrets, vouched
from pipeline.wiring.images import (
    cache_folder,
    cache_limit,
    image_builder,
    open_images,
    open_layout,
    own_image_tools,
)
from pipeline.wiring.mlflow import build_webhooks, connection, reached, webhook_url
from pipeline.wiring.people import freezes, links, rules
from pipeline.wiring.serving import build_serving, local_target, target_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline.collection.survey import Survey
    from pipeline.doctor.looks import Look
    from pipeline.forecast import World
    from pipeline.ledger import Ledger
    from pipeline.notify.notifier import Channel, Notifier
    from pipeline.tools import Tools
    from pipeline.worker import Worker

__all__ = [
    "build_channels",
    "build_local_target",
    "build_looks",
    "build_receiver",
    "build_survey",
    "build_target",
    "build_tools",
    "build_webhooks",
    "build_worker",
    "build_world",
    "cache_folder",
    "cache_limit",
    "links",
    "open_images",
    "open_layout",
    "open_ledger",
    "own_image_tools",
    "reached",
    "signer",
    "trust_policy",
    "webhook_url",
]


def open_ledger(settings: Settings) -> "Ledger":
    """Open the ledger and bring its schema to the newest version."""
    from pipeline.ledger import Ledger  # noqa: PLC0415 - verify and down need no database

    ledger = Ledger(settings.ledger)
    ledger.migrate()
    return ledger


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


def build_target(settings: Settings) -> ServingTarget:
    """Make the serving target."""
    return target_of(settings, open_images(settings))


def build_local_target(settings: Settings) -> LocalServing:
    """Make the target of this machine; ``ConfigurationError`` where services are elsewhere."""
    return local_target(settings, open_images(settings))


def build_tools(settings: Settings, clock: Clock | None = None) -> "Tools":
    """Put together everything that a promotion works with.

    Raises
    ------
    ConfigurationError
        Where this machine cannot isolate model code and nobody chose to go without.

    """
    from pipeline.tools import Tools  # noqa: PLC0415 - a receiver needs no engine, nor do they

    clock = clock or SystemClock()
    images = open_images(settings)
    serving = build_serving(settings, images)
    mlflow = connection(settings)
    resolver = _resolver(settings, clock)
    return Tools(
        models=MlflowRegistry(mlflow),
        artifacts=MlflowArtifacts(mlflow),
        resolver=resolver,
        builder=image_builder(settings, resolver),
        images=images,
        runner=serving.runner,
        signer=signer(settings),
        policy=trust_policy(settings),
        target=serving.target,
        metrics=serving.metrics,
        clock=clock,
        freezes=freezes(settings),
        rules=rules(settings),
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
        notifiers=_notifiers(settings, ledger, tools.clock),
    )


def _notifiers(settings: Settings, ledger: "Ledger", clock: Clock) -> "tuple[Notifier, ...]":
    if not settings.notifications:
        return ()
    from pipeline.notify.notifier import Notifier  # noqa: PLC0415 - where nobody is to be told
    from pipeline.wiring.notify import channels  # noqa: PLC0415 - as above

    url = reached(settings.server)
    found = channels(settings, clock, url)
    return tuple(Notifier(ledger, each, clock, url=url) for each in found)


def build_channels(settings: Settings) -> "tuple[Channel, ...]":
    """Make the channels by which people are told; ``ConfigurationError`` where one cannot be."""
    from pipeline.wiring.notify import channels  # noqa: PLC0415 - one verb needs it

    return tuple(channels(settings, SystemClock(), reached(settings.server)))


def build_looks(settings: Settings, clock: Clock | None = None) -> "tuple[Look, ...]":
    """List what `laurel doctor` looks at; nothing is looked at yet."""
    from pipeline.wiring.doctor import looks  # noqa: PLC0415 - one verb needs it

    def sign_with() -> str:
        return signer(settings).key_id

    return looks(settings, sign_with, lambda: trust_policy(settings), clock)


def build_world(settings: Settings) -> "World":
    """Put together what a promotion is foreseen with; all of it is only read."""
    from pipeline.forecast import World  # noqa: PLC0415 - one verb needs it

    mlflow, images = connection(settings), open_images(settings)
    clock = SystemClock()
    resolver = _resolver(settings, clock)
    return World(
        models=MlflowRegistry(mlflow),
        artifacts=MlflowArtifacts(mlflow),
        resolver=resolver,
        images=images,
        target=target_of(settings, images),
        known_lock=resolver.known,
        clock=clock,
        freezes=freezes(settings),
    )


def _resolver(settings: Settings, clock: Clock) -> RememberedLocks:
    return RememberedLocks(UvResolver(), cache_folder(settings) / "locks", clock)


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
    from webhook_service.config import ReceiverConfig  # noqa: PLC0415 - as above

    config = ReceiverConfig(
        services=settings.plans(),
        secrets=lambda: webhook_secrets(settings.webhook),
        rollback_secrets=lambda: rollback_secrets(settings),
        tokens=(local_token(settings),),
        vouched=vouched(settings.auth),
        allowed_hosts=_names(settings.server),
        rules=rules(settings),
        links=links(settings),
        target=settings.serving.target,
        tolerance=timedelta(seconds=settings.webhook.tolerance),
        wake=wake or (lambda: None),
    )
    return create_app(ledger, config)


def _names(server: ServerSettings) -> frozenset[str]:
    """List the Host headers that mean this server; IPv6 addresses stand in brackets there."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return frozenset({"localhost", "127.0.0.1", "[::1]", host.lower(), *server.allowed_hosts})
