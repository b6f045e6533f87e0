"""Everybody who calls Laurel, each through its real receiver: people, a pager and MLflow."""

import hashlib
from typing import Any

from pipeline.domain.access import Caller, Grant, Role
from tests.fakes.asgi import Answer, Client
from tests.fakes.mlflow_webhook import SECRET, alias_event, call_for_rollback, deliver
from tests.unit.interleavings.services import model_of
from tests.unit.interleavings.world import World
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig, Token

OPERATOR, APPROVERS = "ada", ("bob", "eve")
_ACCEPTED = 202
_ANSWERS = {200, 202, 404, 409}
_PAGER = b"of the pager"


class People:
    """What each of them does; an answer that is none of the documented ones fails the test."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._calls = 0
        self.sit_down()

    def sit_down(self) -> None:
        """Find the receiver of this life."""
        self._client = Client(create_app(self._world.ledger, self._config()))
        self._client.__enter__()

    def stand_up(self) -> None:
        """Leave it: the process is gone."""
        self._client.__exit__()

    def move(self, service: str, version: int | None) -> None:
        """Move the alias, as MLflow's page does."""
        self._world.models.point(model_of(service), "champion", version)

    def tell(self, service: str, version: int | None) -> None:
        """Send MLflow's webhook about it; signed, however late and wrong it is."""
        action = "deleted" if version is None else "created"
        body = alias_event(model_of(service), version=str(version), action=action)
        self._sent(deliver(body, delivery=self._delivery(), at=self._world.clock.now()))

    def hold(self, service: str) -> None:
        self._ask("PUT", f"/services/{service}/hold", {"reason": "hands off"})

    def release(self, service: str) -> None:
        self._ask("DELETE", f"/services/{service}/hold")

    def roll_back(self, service: str, to: str | None, *, move_alias: bool = False) -> None:
        asked = {"move_alias": move_alias} | ({} if to is None else {"to": to})
        self._ask("POST", f"/services/{service}/rollback", asked)

    def page(self, service: str) -> None:
        """Call the rollback webhook, as a pager does."""
        body = {"service": service, "reason": "error budget is spent"}
        self._sent(
            call_for_rollback(
                body, delivery=self._delivery(), secret=_PAGER, at=self._world.clock.now()
            )
        )

    def promote(self, service: str, version: int | None) -> None:
        wanted = {"alias": "champion"} if version is None else {"version": version}
        body = {"model": model_of(service), "service": service, **wanted}
        self._ask("POST", "/promotions", body)

    def decide(self, service: str, verb: str) -> None:
        """Abort, retry, pause, resume or complete the newest promotion."""
        newest = self._world.newest(service)
        if newest is not None:
            self._ask("POST", f"/promotions/{newest.id}/{verb}", {"reason": f"{verb} it"})

    def approve(self, service: str, who: str) -> None:
        newest = self._world.newest(service)
        if newest is None:
            return
        answer = self._ask("POST", f"/promotions/{newest.id}/approve", {}, who)
        if answer.status == _ACCEPTED:
            self._world.judge.agreed.setdefault(newest.id, set()).add(who)

    def _delivery(self) -> str:
        self._calls += 1
        return f"00000000-0000-4000-8000-{self._calls:012}"

    def _sent(self, call: Any) -> None:  # noqa: ANN401 - a signed call
        self._world.clock.instant()
        answer = self._client.send(call)
        assert answer.status in _ANSWERS, answer.body

    def _ask(self, method: str, path: str, body: object = None, who: str = OPERATOR) -> Answer:
        self._world.clock.instant()
        answer = self._client.call(method, path, token=f"{who}-token", json=body)
        assert answer.status in _ANSWERS, answer.body
        return answer

    def _config(self) -> ReceiverConfig:
        world = self._world
        return ReceiverConfig(
            services=world.plans,
            secrets=lambda: (SECRET,),
            rollback_secrets=lambda: (_PAGER,),
            tokens=(
                _token(OPERATOR, Role.OPERATOR, Role.APPROVER),
                *(_token(each, Role.APPROVER) for each in APPROVERS),
            ),
            allowed_hosts=frozenset({"127.0.0.1"}),
            rules=world.rules,
            now=world.clock.now,
            wake=world.worker.wake,
        )


def _token(actor: str, *roles: Role) -> Token:
    caller = Caller(actor, (Grant(frozenset(roles)),), f"the token {actor}")
    return Token(caller, hashlib.sha256(f"{actor}-token".encode()).hexdigest())
