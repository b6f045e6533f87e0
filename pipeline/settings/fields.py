"""Kinds of setting that every section uses: durations, sizes, paths from the file's own folder."""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)"
SIZE = r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([KMGT]i?B|B|)"
"""What is read as a duration and as a size."""
_POWERS = {"": 1, "B": 1} | {
    f"{letter}{i}B": base**power
    for power, letter in enumerate("KMGT", start=1)
    for i, base in (("", 1000), ("i", 1024))
}


def duration(text: object) -> object:
    """Read ``500ms``, ``30s``, ``10m``, ``24h`` or ``7d`` as seconds; numbers are seconds."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(DURATION, text)
    if match is None:
        raise ValueError(f"{text!r} is no duration: write 500ms, 30s, 10m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2]]


def whole_seconds(text: object) -> object:
    """Read a duration that is a whole number of seconds, as Kubernetes counts them."""
    number = duration(text)
    if isinstance(number, float):
        if not number.is_integer():
            raise ValueError(f"{text!r} is no whole number of seconds")
        return int(number)
    return number


def size(text: object) -> object:
    """Read ``500MB``, ``50GB`` or ``1TB``, and ``KiB`` to ``TiB``, as bytes; numbers are bytes."""
    if not isinstance(text, str):
        return text
    match = re.fullmatch(SIZE, text)
    if match is None:
        raise ValueError(f"{text!r} is no size: write 500MB, 50GB, 1TB or 50GiB")
    return int(float(match[1]) * _POWERS[match[2]])


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return path.expanduser() if folder is None else Path(folder) / path.expanduser()


def from_folder(url: str, scheme: str, info: ValidationInfo) -> str:
    """Let the path of a URL such as ``sqlite:///laurel.db`` start at the folder of laurel.yaml."""
    folder = (info.context or {}).get("folder")
    if folder is None or not url.startswith(scheme):
        return url
    return scheme + os.path.normpath(Path(folder) / url.removeprefix(scheme))


def require_http(url: str) -> str:
    """Return an http(s) URL that holds no credentials, or raise."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits, parts = False, urlsplit("")
    if not fits:
        raise ValueError("no http or https address: write https://HOST/PATH")
    if parts.username is not None:
        raise ValueError("credentials do not belong into this address")
    return url


Seconds = Annotated[float, BeforeValidator(duration), Field(gt=0)]
"""A duration: ``30s``, or a number of seconds."""
WholeSeconds = Annotated[int, BeforeValidator(whole_seconds), Field(ge=0)]
"""A duration of whole seconds."""
Bytes = Annotated[int, BeforeValidator(size), Field(ge=0)]
"""A size: ``50GB``, or a number of bytes."""
LocalPath = Annotated[Path, AfterValidator(_from_folder)]
"""A path; a relative one starts at the folder of laurel.yaml."""


class Section(BaseModel):
    """A part of laurel.yaml: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )
