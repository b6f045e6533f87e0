"""What a Docker Engine says went wrong, as the error that tells a person what to do."""

import re

from pipeline.errors import (
    ForbiddenError,
    NotFoundError,
    PermanentError,
    StepError,
    UnavailableError,
)

_LONGEST = 500
_UNAUTHORIZED, _FORBIDDEN, _MISSING = 401, 403, 404
_DENIED = re.compile(
    r"denied|unauthorized|no basic auth|authentication required|forbidden", re.IGNORECASE
)
_GONE = re.compile(r"manifest unknown|not found|no such image|does not exist", re.IGNORECASE)
_PASSING = re.compile(
    r"connection refused|connection reset|timeout|timed out|no such host|unreachable"
    r"|toomanyrequests|server misbehaving|unexpected eof|\b50[0234]\b|\b429\b",
    re.IGNORECASE,
)
_FULL = re.compile(r"no space left|disk quota", re.IGNORECASE)


def unreachable(host: str, error: BaseException | None) -> UnavailableError:
    """Name an engine that does not answer, and where its address comes from."""
    why = " ".join(str(error).split())[:_LONGEST]
    return UnavailableError(
        "build with Docker",
        _subject(host),
        f"it does not answer ({why}): start it, let this user use it, or set DOCKER_HOST",
    )


def fault(attempted: str, host: str, message: str, status: int = 0) -> StepError:
    """Tell from the engine's own words whether to wait, to allow, to mend or to make room.

    Its status says little: most of what a registry answers it arrives as 500.
    """
    said = " ".join(message.split())[:_LONGEST]
    if _FULL.search(said):
        return PermanentError(attempted, _subject(host), f"its disk is full ({said}): make room")
    if status in {_UNAUTHORIZED, _FORBIDDEN} or _DENIED.search(said):
        hint = f"it is not allowed to ({said}): `docker login` there, as the user that runs Laurel"
        return ForbiddenError(attempted, _subject(host), hint)
    if status == _MISSING or _GONE.search(said):
        return NotFoundError(attempted, _subject(host), f"{said}: name what is there")
    if _PASSING.search(said):
        return UnavailableError(attempted, _subject(host), said)
    return PermanentError(attempted, _subject(host), f"{said}: mend that, then retry")


def _subject(host: str) -> str:
    return f"the Docker Engine at {host}"
