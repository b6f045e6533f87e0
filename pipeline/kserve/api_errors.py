"""What an API server says when it says no, as errors that tell a person what to do.

The bodies are ``Status`` objects (kinds ``Failure``); those that matter were recorded from a real
server. Their words are read so far, made one line, and shortened: they come from policies and
webhooks of others.
"""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pipeline.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    RejectedError,
    StepError,
    UnavailableError,
)

_LONGEST = 500
_POLICY = re.compile(r"denied (?:the )?request|exceeded quota|failed quota|violates PodSecurity")
_ADMISSION = re.compile(r"is forbidden: (?!User )")  # RBAC alone says `User "…" cannot get …`
_PLAIN: dict[int, tuple[type[StepError], str]] = {
    HTTPStatus.UNAUTHORIZED: (ForbiddenError, "renew the login"),
    HTTPStatus.NOT_FOUND: (NotFoundError, "look whether KServe is installed, and the name right"),
    HTTPStatus.CONFLICT: (ConflictError, "read it again"),
    HTTPStatus.GONE: (ConflictError, "read it again"),
}
_NOT_YET = "not yet ready to handle request"  # admission of a server that has just started


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which server, for the one who reads the error."""

    attempted: str
    subject: str
    server: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end."""

    status: int
    body: bytes
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Tell whether it is what was asked for."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def names_the_missing(self, name: str) -> bool:
        """Tell whether it is a 404 that says of this very object that it does not exist.

        One without a name means that the server does not know the kind, or is no API server.
        """
        details = _status(self.body).get("details")
        said = details.get("name") if isinstance(details, dict) else None
        return self.status == HTTPStatus.NOT_FOUND and said == name


def refusal(answer: Answer, asked: Asked) -> StepError:
    """Make the error for an answer that is not what was asked for."""
    said = _status(answer.body)
    words = _one_line(said.get("message"))
    where = (asked.attempted, asked.subject)
    if _POLICY.search(words):
        return RejectedError(*where, f"the cluster's own policy says no: {words}")
    if answer.status == HTTPStatus.FORBIDDEN:
        return _forbidden(words, where)
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return _unprocessable(said, words, where)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        hint = f"{asked.server} answers {answer.status}{words and f' ({words})'}; look at its log"
        return UnavailableError(*where, hint, retry_after=answer.retry_after)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        hint = f"{asked.server} asks for fewer requests"
        return RateLimitedError(*where, hint, retry_after=answer.retry_after)
    kind, hint = _PLAIN.get(answer.status, (PermanentError, ""))
    said_so = f"{asked.server} answers {answer.status}{words and f': {words}'}"
    return kind(*where, f"{said_so}{hint and f'; {hint}'}")


def event_refusal(status: Any, asked: Asked) -> StepError:  # noqa: ANN401 - it came over the wire
    """Make the error for the ``Status`` that a watch ended with."""
    said = status if isinstance(status, dict) else {}
    code = said.get("code")
    known = code if isinstance(code, int) else HTTPStatus.INTERNAL_SERVER_ERROR
    return refusal(Answer(known, json.dumps(said).encode()), asked)


def unreachable(error: BaseException, asked: Asked) -> StepError:
    """Make the error for a server that gave no answer at all."""
    why = _one_line(error)
    if "CERTIFICATE_VERIFY_FAILED" in why:
        return PermanentError(
            asked.attempted,
            asked.subject,
            f"the certificate of {asked.server} is not trusted ({why}): "
            "mend certificate-authority in the kubeconfig",
        )
    return UnavailableError(
        asked.attempted, asked.subject, f"{asked.server} does not answer ({why})"
    )


def _forbidden(words: str, where: tuple[str, str]) -> StepError:
    if _NOT_YET in words:
        return UnavailableError(*where, f"the API server has just started: {words}")
    if _ADMISSION.search(words):
        return RejectedError(*where, f"the cluster's own policy says no: {words}")
    return ForbiddenError(*where, f"{words or 'forbidden'}: give Laurel's account that right")


def _unprocessable(said: dict[str, Any], words: str, where: tuple[str, str]) -> StepError:
    """Tell a patch whose guard failed, which names no cause, from an object that is invalid."""
    details = said.get("details")
    if isinstance(details, dict) and details.get("causes"):
        return PermanentError(*where, f"the cluster does not take it: {words}")
    return ConflictError(*where, "it is not any more what the change was made for: read it again")


def _status(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _one_line(said: object) -> str:
    text = "" if said is None else str(said)
    printable = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * _LONGEST])
    return " ".join(printable.split())[:_LONGEST]
