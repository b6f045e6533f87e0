"""The application: routes, error handlers and the recorder, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from pipeline.ledger import Ledger
from webhook_service import (
    decisions,
    health,
    history,
    links,
    promotions,
    rollback_webhook,
    services,
    webhook,
)
from webhook_service.access import Receiver
from webhook_service.config import ReceiverConfig
from webhook_service.guard import Guard
from webhook_service.problems import answer_with_problems
from webhook_service.recorder import Recorder
from webhook_service.streams import Streams

PARTS = (webhook, rollback_webhook, promotions, decisions, links, services, history, health)
"""Every module that has routes."""


def create_app(ledger: Ledger, config: ReceiverConfig) -> FastAPI:
    """Make the HTTP face of a migrated ledger; its lifespan runs the recorder."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Recorder(ledger, config.wake) as recorder:
            app.state.receiver = Receiver(ledger, config, recorder)
            yield

    app = FastAPI(
        title="Laurel", version=version("laurel"), lifespan=lifespan, redirect_slashes=False
    )
    app.state.streams = Streams()
    for part in PARTS:
        app.include_router(part.router)
    app.add_middleware(Guard, allowed_hosts=config.allowed_hosts)
    answer_with_problems(app)
    return app
