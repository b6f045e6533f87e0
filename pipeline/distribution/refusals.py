"""What a registry says when it says no, as errors that say who was refused what."""

import json
from typing import Any

import urllib3

from pipeline.distribution.request import Request
from pipeline.errors import PermanentError

_LARGEST_ANSWER = 1 << 16
_LONGEST_TEXT = 200


def refusal(response: urllib3.BaseHTTPResponse, request: Request) -> PermanentError:
    """Make the error for a status that the caller has no use for; nothing is raised here."""
    said = f"{request.host} answers {response.status}"
    text = reason(response)
    return PermanentError(request.attempted, request.subject, f"{said}: {text}" if text else said)


def reason(response: urllib3.BaseHTTPResponse) -> str:
    """Read why, as OCI registries say it; ``""`` where they say nothing that can be shown."""
    try:
        answer: Any = json.loads(response.read(_LARGEST_ANSWER))
        first = answer["errors"][0]
        text = f"{first['code']} {first.get('message', '')}"
    except (ValueError, LookupError, TypeError, AttributeError, urllib3.exceptions.HTTPError):
        return ""
    return "".join(c for c in text if c.isprintable())[:_LONGEST_TEXT].strip()
