"""What an MLflow server says of itself and of this account (``ports.RegistryServer``)."""

import re
from datetime import datetime
from http import HTTPStatus

from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.domain.http_date import told_time
from pipeline.domain.references import ModelVersion
from pipeline.errors import ForbiddenError

_API = "/api/2.0/mlflow"
_VERSION = re.compile(rb"[0-9]{1,4}(?:\.[0-9A-Za-z]{1,8}){1,3}\Z")
_NEVER = "999999999"  # a version that no model has


class MlflowServer:
    """One MLflow server."""

    def __init__(self, rest: MlflowRest) -> None:
        self._rest = rest

    def version(self) -> str | None:
        """Read the version that it tells everybody; a proxy before it may not let that through."""
        with self._rest.open(
            "GET", "/version", "", attempted="read its version", subject="MLflow"
        ) as answer:
            said = answer.read(64).strip()
            told = answer.status == HTTPStatus.OK and _VERSION.match(said)
        return said.decode() if told else None

    def now(self) -> datetime | None:
        """Read its clock, which every HTTP answer carries (RFC 9110, Date)."""
        with self._rest.open(
            "GET", "/health", "", attempted="read its clock", subject="MLflow"
        ) as answer:
            return told_time(answer.headers)

    def may_tag(self, model: ModelVersion) -> bool:
        """Ask to tag a version that no model has: who may not is told so before it is missed."""
        attempted, subject = "ask for the right to write tags", model.name
        try:
            self._rest.post(
                f"{_API}/model-versions/set-tag",
                {"name": model.name, "version": _NEVER, "key": "laurel.doctor", "value": ""},
                model.workspace,
                attempted=attempted,
                subject=subject,
            )
        except ForbiddenError:
            return False
        return True
