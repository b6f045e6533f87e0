"""A notice as a CloudEvent 1.0 in structured JSON, signed as Standard Webhooks are.

The signature is the one that MLflow makes (``v1,`` and the base64 of an HMAC-SHA256 over id, time
and body), under the header names of the standard. A secret that begins with ``whsec_`` is base64
behind it, as the standard's own libraries read it; any other is its bytes, as in MLflow.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pipeline.domain.notice import About, Notice
from pipeline.errors import ConfigurationError

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
_PREFIX = b"whsec_"
_TYPE = "dev.laurel."


def cloud_event(notice: Notice, source: str) -> bytes:
    """Write a notice; ``source`` is the Laurel that tells it, and with ``id`` it is unique."""
    event = {
        "specversion": "1.0",
        "id": notice.id,
        "source": source,
        "type": _TYPE + notice.type,
        "subject": notice.service,
        "time": notice.at,
        "datacontenttype": "application/json",
        "data": {
            "service": notice.service,
            "title": notice.title,
            "reason": notice.sentence,
            "urgency": notice.urgency.value,
            "topics": [topic.value for topic in notice.topics],
            "link": notice.link,
            "promotion": None if notice.about is None else _promotion(notice.about),
        },
    }
    return json.dumps(event).encode()


def signed(notice: Notice, body: bytes, secrets: Iterable[bytes], at: datetime) -> dict[str, str]:
    """Return the headers that a body goes out with, a signature for each secret in use."""
    seconds = str(int(at.timestamp()))
    content = f"{notice.id}.{seconds}.".encode() + body
    signatures = (hmac.digest(key_of(secret), content, hashlib.sha256) for secret in secrets)
    return {
        "Content-Type": CONTENT_TYPE,
        "webhook-id": notice.id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }


def key_of(secret: bytes) -> bytes:
    """Read the key that a secret is."""
    if not secret.startswith(_PREFIX):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ConfigurationError(
            "a notification's secret begins with whsec_ and has no base64 behind it: write "
            "`echo whsec_$(openssl rand -base64 32)` into its file"
        ) from error


def _promotion(about: About) -> dict[str, Any]:
    model = about.model
    return {
        "id": about.promotion,
        "kind": about.kind,
        "phase": about.phase,
        "model": {
            "name": model.name,
            "version": model.version or None,
            "workspace": model.workspace,
        },
        "asked_by": {"actor": about.asked.actor, "kind": about.asked.kind.value},
        "image": None if about.image is None else str(about.image),
        "previous_image": None if about.previous_image is None else str(about.previous_image),
    }
