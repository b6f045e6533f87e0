"""What `laurel doctor` looks at, each with the neighbours that it needs and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_registry import MlflowRegistry
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.adapters.mlflow_server import MlflowServer
from pipeline.adapters.mlflow_webhooks import MlflowWebhooks
from pipeline.adapters.system_clock import SystemClock
from pipeline.doctor import (
    artifacts,
    clocks,
    keys,
    ledger,
    mlflow,
    registry,
    rights,
    serving,
    webhook,
)
from pipeline.doctor.finding import Finding, ok
from pipeline.doctor.looks import Look
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import names_registry
from pipeline.image.version_key import repository_of
from pipeline.local.front import Front
from pipeline.ports import Clock, Webhooks
from pipeline.settings import Settings
from pipeline.settings.secrets import webhook_secrets
from pipeline.wiring.images import cache_folder, open_images, remote
from pipeline.wiring.mlflow import connection, webhook_url, workspaces
from pipeline.wiring.serving import Serving, build_serving

_SQLITE = "sqlite:///"


def looks(
    settings: Settings,
    sign_with: Callable[[], str],
    policy: Callable[[], TrustPolicy],
    clock: Clock | None = None,
) -> tuple[Look, ...]:
    """List every look, in the order in which its findings help to read the next ones."""
    rest = connection(settings)
    clock = clock or SystemClock()
    return (
        *_of_mlflow(settings, rest),
        *_webhooks(settings),
        Look(clocks.CHECK, partial(_clocks, settings, rest, clock.now)),
        Look(registry.CHECK, partial(_registry, settings)),
        Look(keys.CHECK, partial(keys.examine, settings.signing.key, sign_with, policy)),
        Look(keys.SECRETS, partial(keys.examine_files, _secret_files(settings))),
        *_of_serving(settings),
        Look(
            ledger.CHECK,
            partial(ledger.examine, _ledger_file(settings), partial(_current, settings)),
        ),
        Look(ledger.ROOM, partial(ledger.examine_room, _folders(settings))),
    )


def _of_mlflow(settings: Settings, rest: MlflowRest) -> Iterator[Look]:
    plans = list(settings.plans().values())
    models, server = MlflowRegistry(rest), MlflowServer(rest)
    yield Look(mlflow.CHECK, partial(mlflow.examine, server, models, plans))
    yield Look(rights.CHECK, partial(rights.examine, server, models, plans), after=mlflow.CHECK)
    store = MlflowArtifacts(rest)

    def files() -> Iterator[Finding]:
        with closing(store):
            yield from artifacts.examine(models, store, plans)

    yield Look(artifacts.CHECK, files, after=rights.CHECK)


def _webhooks(settings: Settings) -> Iterator[Look]:
    for workspace in workspaces(settings):
        look = partial(_webhook, settings, workspace)
        yield Look(webhook.CHECK, look, after=mlflow.CHECK)


def _webhook(settings: Settings, workspace: str) -> Iterator[Finding]:
    def opened() -> Webhooks:
        return MlflowWebhooks(connection(settings), workspace)

    secret = webhook_secrets(settings.webhook)[0].decode(errors="replace")
    yield from webhook.examine(opened, webhook_url(settings), secret)


def _clocks(settings: Settings, rest: MlflowRest, now: Callable[[], datetime]) -> Iterator[Finding]:
    read: dict[str, Callable[[], datetime | None]] = {"MLflow": MlflowServer(rest).now}
    elsewhere = remote(settings)
    for repository in sorted({repository_of(plan) for plan in settings.plans().values()}):
        if names_registry(repository):
            read.setdefault(repository.partition("/")[0], partial(elsewhere.now, repository))
    yield from clocks.examine(read, now, timedelta(seconds=settings.webhook.tolerance))


def _registry(settings: Settings) -> Iterator[Finding]:
    plans = settings.plans().values()
    repositories = sorted({(repository_of(plan), plan.copy_from) for plan in plans})
    yield from registry.examine(open_images(settings), repositories)


def _of_serving(settings: Settings) -> Iterator[Look]:
    plans = list(settings.plans().values())

    def isolation() -> Iterator[Finding]:
        build_serving(settings, open_images(settings))
        yield ok("isolation", "model code is isolated where it is tried")

    yield Look("isolation", isolation)
    if settings.serving.target == "local":
        front = Front(settings.serving.state, port=settings.serving.port)
        port = partial(
            serving.examine_port, settings.serving.port, lambda: front.process() is not None
        )
        yield Look(serving.CHECK, port)

    def made() -> Serving:
        return build_serving(settings, open_images(settings))

    target = partial(serving.examine, lambda: made().target, plans)
    yield Look(serving.CHECK, target, after="isolation")
    if settings.serving.target == "kserve":
        counts = partial(serving.examine_counts, lambda: made().metrics, plans)
        yield Look(serving.COUNTS, counts, after="isolation")


def _secret_files(settings: Settings) -> dict[str, Path]:
    files = {"signing.key": settings.signing.key, "server.token_file": settings.server.token_file}
    if settings.signing.password_file is not None:
        files["signing.password_file"] = settings.signing.password_file
    for number, path in enumerate(settings.webhook.secret_files):
        files["webhook.secret_file" + (f" {number + 1}" if number else "")] = path
    return files


def _ledger_file(settings: Settings) -> Path:
    return Path(settings.ledger.removeprefix(_SQLITE))


def _current(settings: Settings) -> bool:
    from pipeline.ledger import Ledger  # noqa: PLC0415 - looked at late, and not by every caller

    with closing(Ledger(settings.ledger)) as opened:
        return opened.current()


def _folders(settings: Settings) -> dict[str, Path]:
    images = {} if settings.registry.folder is None else {"registry": settings.registry.folder}
    return {"ledger": _ledger_file(settings).parent, **images, "cache": cache_folder(settings)}
