"""MLflow's webhooks over REST (``ports.Webhooks``); they belong to a workspace, where there are."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pipeline.adapters.mlflow_rest import MlflowRest, Rejection, accepted
from pipeline.domain.webhook import EVENTS, Tried, Webhook
from pipeline.errors import ForbiddenError, NotFoundError, RejectedError

_API = "/api/2.0/mlflow/webhooks"
_TEST_SECONDS = 140.0  # four attempts of 30 s each, and the pauses between them
_ADMINISTRATORS = (
    "webhooks are for MLflow's administrators: let one of them run this, with LAUREL_MLFLOW__"
    "USERNAME and __PASSWORD of their own; Laurel itself needs none of it"
)


class MlflowWebhooks:
    """The webhooks of one workspace of an MLflow server."""

    def __init__(self, rest: MlflowRest, workspace: str = "") -> None:
        self._rest = rest
        self._workspace = workspace

    def list(self) -> tuple[Webhook, ...]:
        """List every webhook, page by page."""
        found: list[Webhook] = []
        token = ""
        while True:
            page = self._page(token)
            found += [_webhook(each) for each in page.get("webhooks", [])]
            token = page.get("next_page_token", "")
            if not token:
                return tuple(found)

    def create(self, name: str, url: str, secret: str, *, active: bool = True) -> Webhook:
        """Make a webhook; ``RejectedError`` where MLflow's rules forbid its address."""
        said = {"name": name, "url": url, **_wanted(secret, active=active)}
        return _webhook(self._call("POST", "", said, "make the webhook", url)["webhook"])

    def change(self, webhook: Webhook, *, secret: str) -> Webhook:
        """Give a webhook this secret and Laurel's events, and let it fire."""
        path, said = f"/{webhook.id}", _wanted(secret, active=True)
        return _webhook(
            self._call("PATCH", path, said, "change the webhook", webhook.url)["webhook"]
        )

    def delete(self, webhook: Webhook) -> None:
        """Remove a webhook."""
        try:
            self._call("DELETE", f"/{webhook.id}", {}, "remove the webhook", webhook.url)
        except NotFoundError:
            return

    def test(self, webhook: Webhook) -> Tried:
        """Let MLflow send its test call, an alias that was set, and return what it was answered."""
        path, said = f"/{webhook.id}/test", {"event": _event(EVENTS[0])}
        patience = _TEST_SECONDS
        result = self._call("POST", path, said, "test the webhook", webhook.url, patience=patience)[
            "result"
        ]
        status = result.get("response_status")
        return Tried(
            int(status) if status else None,
            str(result.get("response_body", ""))[:2000],
            str(result.get("error_message", ""))[:2000],
        )

    def _page(self, token: str) -> dict[str, Any]:
        attempted, subject = "list the webhooks", "MLflow"
        query = {"max_results": "100"} | ({"page_token": token} if token else {})
        try:
            answer = self._rest.get(
                _API, query, self._workspace, attempted=attempted, subject=subject
            )
        except ForbiddenError as error:
            raise ForbiddenError(attempted, subject, _forbidden(error)) from error
        return _kept(answer, attempted, subject)

    def _call(
        self,
        method: str,
        path: str,
        said: Mapping[str, object],
        attempted: str,
        subject: str,
        *,
        patience: float | None = None,
    ) -> dict[str, Any]:
        try:
            answer = self._rest.send(
                method,
                _API + path,
                said,
                self._workspace,
                attempted=attempted,
                subject=subject,
                patience=patience,
            )
        except ForbiddenError as error:
            raise ForbiddenError(attempted, subject, _forbidden(error)) from error
        return _kept(answer, attempted, subject)


def _forbidden(error: ForbiddenError) -> str:
    return _ADMINISTRATORS if "READ on the model" in error.hint else error.hint


def _kept(answer: dict[str, Any] | Rejection, attempted: str, subject: str) -> dict[str, Any]:
    if isinstance(answer, Rejection):
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise RejectedError(attempted, subject, f"MLflow says: {answer.message[:300]}")
        if answer.status == HTTPStatus.NOT_FOUND and not answer.code:
            hint = "this MLflow has no webhooks: 3.3 is the first, and file stores have none"
            raise NotFoundError(attempted, subject, hint)
    return accepted(answer, attempted=attempted, subject=subject)


def _wanted(secret: str, *, active: bool) -> dict[str, object]:
    events = [_event(each) for each in EVENTS]
    return {"secret": secret, "events": events, "status": "ACTIVE" if active else "DISABLED"}


def _event(name: str) -> dict[str, str]:
    entity, _, action = name.partition(".")
    return {"entity": entity.upper(), "action": action.upper()}


def _webhook(said: dict[str, Any]) -> Webhook:
    events = (f"{each['entity']}.{each['action']}".lower() for each in said.get("events", []))
    return Webhook(
        str(said["webhook_id"]),
        str(said.get("name", "")),
        str(said.get("url", "")),
        tuple(sorted(events)),
        str(said.get("status", "ACTIVE")) == "ACTIVE",
    )
