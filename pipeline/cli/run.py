"""Processes that stay: up, serve, worker; and down, which ends what they leave serving."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import logs
from pipeline.cli.asked import Asked, shared, url_of
from pipeline.cli.output import print_json
from pipeline.cli.token_file import provide_token
from pipeline.errors import ConfigurationError, InvalidReferenceError

if TYPE_CHECKING:
    from pipeline.settings import Settings

_log = logging.getLogger(__name__)
_STOPPED = "stopped; what serves goes on serving: `laurel down` ends it"
_host = click.option("--host", help="Address to listen on; default: server.host of the settings.")
_port = click.option("--port", type=click.IntRange(0, 65535), help="Port; default: server.port.")


@click.command()
@_host
@_port
@shared
def up(asked: Asked, host: str | None, port: int | None) -> None:
    """Run all of Laurel in one process: receiver and worker.

    Stopped by SIGINT or SIGTERM; what serves then goes on serving.
    """
    from pipeline import wiring

    settings = _listening_at(asked.settings(), host, port)
    with ExitStack() as stack:
        listener = stack.enter_context(_started(settings))
        ledger = stack.enter_context(closing(wiring.open_ledger(settings)))
        worker = wiring.build_worker(settings, ledger)
        stack.callback(_log.info, _STOPPED)
        stack.callback(worker.stop)
        worker.start()
        app = wiring.build_receiver(settings, ledger, worker.wake)
        _receive(app, listener, lambda: _announce(asked, settings, listener))
    _leave_what_runs()


@click.command()
@_host
@_port
@shared
def serve(asked: Asked, host: str | None, port: int | None) -> None:
    """Run the receiver alone; a worker carries out what it takes."""
    from pipeline import wiring

    settings = _listening_at(asked.settings(), host, port)
    with _started(settings) as listener, closing(wiring.open_ledger(settings)) as ledger:
        app = wiring.build_receiver(settings, ledger)
        _receive(app, listener, lambda: _announce(asked, settings, listener))


@click.command()
@shared
def worker(asked: Asked) -> None:
    """Run the worker alone: it reads aliases and promotes."""
    from pipeline import wiring

    settings = asked.settings()
    _log_here()
    told = threading.Event()
    with closing(wiring.open_ledger(settings)) as ledger, _signalled(told.set):
        working = wiring.build_worker(settings, ledger)
        working.start()
        _log.info("working; reads aliases from %s", settings.mlflow.url)
        told.wait()
        working.stop()
        _log.info(_STOPPED)
    _leave_what_runs()


@click.command()
@click.argument("service", required=False)
@shared
def down(asked: Asked, service: str | None) -> None:
    """Stop what the local target serves: one service, or all.

    Without a service, Envoy is stopped too.
    """
    from pipeline import wiring

    settings = asked.settings()
    target = wiring.build_local_target(settings)
    known = {each.name for each in settings.services}
    if service and service not in known and not target.observe(service).sequence:
        raise InvalidReferenceError(
            f"service {service[:63]!r} was never deployed here: `laurel status` lists the services"
        )
    target.down(service)
    if asked.json:
        print_json({"down": service or "all"})
    else:
        click.echo(f"{service or 'everything'} is down")


def _leave_what_runs() -> None:
    """End although a promotion may be in the middle of a step: the next start takes it up there.

    Python would wait for its thread, which a canary keeps for hours; it loses nothing by ending,
    because every step may run twice.
    """
    me = threading.current_thread()
    if any(thread is not me and not thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _listening_at(settings: "Settings", host: str | None, port: int | None) -> "Settings":
    said = {"host": host, "port": port}
    given = {key: value for key, value in said.items() if value is not None}
    return settings.model_copy(update={"server": settings.server.model_copy(update=given)})


@contextmanager
def _started(settings: "Settings") -> Iterator[socket.socket]:
    """Do what must go well before anything runs: address, secrets, token."""
    from pipeline.settings.secrets import read_secret

    _log_here()
    host, port = settings.server.host, settings.server.port
    for path in settings.webhook.secret_files:
        read_secret(path, "`laurel init` writes one")
    for path in settings.rollback.secret_files:
        read_secret(path, "write a secret of 32 random bytes into it")
    if provide_token(settings.server.token_file, host):
        _log.info("made the operator's token: %s", _shown(settings.server.token_file))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # the address again stands behind it
        raise ConfigurationError(
            f"cannot listen at {host} port {port}: {why}; stop what does, or give another --host"
            " or --port"
        ) from error
    with listener:
        yield listener


def _receive(app: Any, listener: socket.socket, ready: Callable[[], None]) -> None:  # noqa: ANN401 - an ASGI application
    """Answer HTTP until SIGINT or SIGTERM; what was taken on is answered first."""
    from pipeline.cli.http_server import answer

    # uvicorn raises the signal again when it has ended; it has done its work by then.
    with _signalled(lambda: None):
        answer(app, listener, ready, app.state.streams.close)


@contextmanager
def _signalled(do: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM do this, and nothing else, meanwhile."""
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, lambda _number, _frame: do()) for each in wanted}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _log_here() -> None:
    logs.to_stderr(as_json=not sys.stderr.isatty())


def _announce(asked: Asked, settings: "Settings", listener: socket.socket) -> None:
    """Say where Laurel is, what it watches and where it keeps things."""
    url = url_of(settings.server.host, listener.getsockname()[1])
    watches = {each.name: f"{each.model}@{each.alias}" for each in settings.services}
    _log.info("listening at %s; MLflow's webhook goes to %s/webhooks/mlflow", url, url)
    for service, watched in watches.items():
        _log.info("watches %s", watched, extra={"service": service})
    if not watches:
        _log.warning("watches nothing yet: add a service to %s", asked.config)
    _log.info("ledger %s, images %s", settings.ledger, settings.registry.location)
    _log.info("the operator's token is in %s", _shown(settings.server.token_file))
    if asked.json:
        places = {"ledger": settings.ledger, "images": settings.registry.location}
        token_file = str(settings.server.token_file)
        print_json({"url": url, "watches": watches, **places, "token_file": token_file})


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
