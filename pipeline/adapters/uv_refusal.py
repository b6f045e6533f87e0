"""uv's explanation of why nothing resolves, as one sentence for the person who can mend it."""

import re

from pipeline.domain.evidence import Refused
from pipeline.errors import (
    CorruptedError,
    ForbiddenError,
    PermanentError,
    StepError,
    UnavailableError,
)

_ATTEMPTED = "get the model's packages"
_URL = re.compile(r"\w+://\S+")
_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
_EXTRAS = r"(?:\[[^\]]*\])?"
_NO_WHEEL = re.compile(rf"({_NAME}{_EXTRAS}(?:[=<>!~]\S+)?) has no (?:usable )?wheels")
_UNKNOWN = re.compile(rf"({_NAME}) was not found in the package registry")
_NO_VERSION = re.compile(r"there (?:is|are) no versions? of (\S+)")
_MARKER = re.compile(r"\{[^}]*\}")
_REQUIRED = re.compile(r"(?:[Bb]ecause|and) you require (.+?)(?:,? we can conclude|\.(?:\s|$))")
_SPECIFIER = r"(?:[=<>!~]=?=?[\w.*+!-]+,?)+"
_DEPENDS = re.compile(
    rf"({_NAME}{_EXTRAS}{_SPECIFIER}) depends on (one of: )?({_NAME})({_SPECIFIER})"
)
_LONGEST = 4000


def read_refusal(stderr: str, python_version: str) -> Refused:
    """Turn the output of ``uv pip compile`` into a refusal; raise what is not the model's fault."""
    text = _shown(stderr)
    if "No solution found" not in text and "Couldn't parse requirement" not in text:
        raise read_fault(stderr)
    if "lack of valid authentication" in text:
        raise ForbiddenError(
            _ATTEMPTED, "package index", "it wants credentials: give them in uv's own settings"
        )
    return Refused(_sentence(text, python_version), {"resolver": text})


def read_fault(stderr: str) -> StepError:
    """Turn uv's output into the error that it tells of: the index's, or this machine's."""
    text = _shown(stderr)
    if "Hash mismatch" in text:
        return CorruptedError(_ATTEMPTED, "package index", f"a wheel is not the locked one: {text}")
    if "No space left on device" in text:
        return PermanentError(_ATTEMPTED, "uv's cache", "the disk is full: make room, then retry")
    if "Failed to fetch" in text or "Failed to download" in text:
        return UnavailableError(
            _ATTEMPTED, "package index", "it does not answer; it is set in uv's own settings"
        )
    return PermanentError(_ATTEMPTED, "uv", f"it failed: {text}")


def _shown(stderr: str) -> str:
    """Take out markers, which hide names, and URLs: an index's address may hold credentials."""
    text = _MARKER.sub("", _URL.sub("<package index>", stderr))
    return " ".join(text.split())[:_LONGEST]


def _sentence(text: str, python_version: str) -> str:
    if "Couldn't parse requirement" in text:
        return (
            "requirements.txt has a line that is no requirement "
            f"({text.partition('cause: ')[2][:200]}): mend it and log the model again"
        )
    if names := _unique(_NO_WHEEL.findall(text)):
        return (
            f"{_joined(names)} cannot be installed on Python {python_version} without building "
            "from source: publish a wheel in the package index, or require a version that has one"
        )
    if names := _unique(_UNKNOWN.findall(text)):
        return (
            f"the package index has no package {_joined(names)}: "
            "publish it there, or take it out of requirements.txt"
        )
    if names := _unique(_NO_VERSION.findall(text)):
        return (
            f"the package index has no {_joined(names)} for Python {python_version}: "
            "publish it there, or require another version"
        )
    return (
        f"{_joined(_required(text))} cannot be installed together on Python {python_version}"
        f"{_reasons(text)}: change one of these requirements and log the model again"
    )


def _required(text: str) -> list[str]:
    """Name what was asked for and takes part in the clash; uv mentions nothing else."""
    clauses = " and ".join(_REQUIRED.findall(text))
    return _unique(clauses.replace(", ", " and ").split(" and ")) if clauses else []


def _reasons(text: str) -> str:
    told = [
        f"{who} depends on {'certain versions of ' + what if several else what + pin}"
        for who, several, what, pin in _DEPENDS.findall(text)
    ]
    return f" ({'; '.join(_unique(told))})" if told else ""


def _unique(found: list[str]) -> list[str]:
    return list(dict.fromkeys(name.rstrip(",.") for name in found))


def _joined(names: list[str]) -> str:
    if not names:
        return "the requirements"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
