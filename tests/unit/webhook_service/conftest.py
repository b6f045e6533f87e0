"""A receiver with two services on a fresh ledger, and a client without a socket."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from pipeline.domain.access import Caller, Grant, Role
from pipeline.domain.plan import Plan
from pipeline.ledger import Ledger
from tests.fakes.asgi import Client
from tests.fakes.mlflow_webhook import NOW, SECRET
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig, Token

SERVICES = {
    "fraud": Plan("fraud", "fraud-scorer", from_alias="challenger"),
    "fraud-eu": Plan("fraud-eu", "fraud-scorer", workspace="eu"),
    "fraud-stage": Plan("fraud-stage", "fraud-scorer", alias="candidate"),
    "churn": Plan("churn", "churn-model"),
}


@dataclass
class World:
    """What a test can move while the receiver runs."""

    now: datetime = NOW
    secrets: tuple[bytes, ...] = (SECRET,)
    rollback_secrets: tuple[bytes, ...] = (b"of the pager",)
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def config(world: World) -> ReceiverConfig:
    return ReceiverConfig(
        services=SERVICES,
        secrets=lambda: world.secrets,
        rollback_secrets=lambda: world.rollback_secrets,
        tokens=(_token("ada", Role.OPERATOR), _token("bob", Role.READER)),
        allowed_hosts=frozenset({"127.0.0.1", "localhost", "[::1]"}),
        now=lambda: world.now,
        wake=world.wake,
    )


@pytest.fixture
def client(ledger: Ledger, config: ReceiverConfig) -> Iterator[Client]:
    with Client(create_app(ledger, config)) as opened:
        yield opened


@pytest.fixture
def client_without_services(ledger: Ledger, config: ReceiverConfig) -> Iterator[Client]:
    with Client(create_app(ledger, replace(config, services={}))) as opened:
        yield opened


def _token(actor: str, role: Role) -> Token:
    caller = Caller(actor, (Grant(frozenset({role})),), f"the token {actor}")
    return Token(caller, hashlib.sha256(f"{actor}-token".encode()).hexdigest())
