"""Headers and bytes to an authenticated delivery: a pure function, so that it is tested alone.

MLflow signs ``{id}.{timestamp}.{body}`` with HMAC-SHA256 and sends ``v1,<base64>``; the secret is
its UTF-8 text, not base64 as in Standard Webhooks (mlflow/webhooks/delivery.py). The bytes are
authenticated before anything reads them as JSON.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.errors import SignatureMismatchError, StaleDeliveryError, UnsignedDeliveryError

ID_HEADER = "x-mlflow-delivery-id"
TIMESTAMP_HEADER = "x-mlflow-timestamp"
SIGNATURE_HEADER = "x-mlflow-signature"

_ID = re.compile(r"[\x21-\x7e]{1,200}\Z")
_TIMESTAMP = re.compile(r"[0-9]{1,11}\Z")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP call that MLflow is known to have made; ``id`` stays the same when it retries."""

    id: str
    sent_at: datetime
    body: bytes


def authenticate(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[bytes],
    now: datetime,
    tolerance: timedelta,
) -> Delivery:
    """Tell whether MLflow made this call, from nothing but what was sent.

    Parameters
    ----------
    headers
        By lower-case name.
    body
        Exactly as received.
    secrets
        Each secret in use; more than one while MLflow's is rotated. An empty one opens nothing.
    now
        The receiver's clock, with its zone.
    tolerance
        How far the sender's clock may be from ``now``, either way.

    Raises
    ------
    UnsignedDeliveryError
        Where id, timestamp or signature are missing, or the first two are not of MLflow's shape.
    SignatureMismatchError
        Where no secret made the signature.
    StaleDeliveryError
        Where an authentic delivery is older, or newer, than ``tolerance`` allows.

    """
    delivery = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    given = headers.get(SIGNATURE_HEADER, "")
    if not (_ID.match(delivery) and _TIMESTAMP.match(timestamp) and given):
        raise UnsignedDeliveryError(
            "the delivery is not signed: give the webhook in MLflow the secret that Laurel has"
        )
    signed = f"{delivery}.{timestamp}.".encode() + body
    if not _made_by_any(secrets, signed, given.encode(errors="replace")):
        raise SignatureMismatchError(
            "the signature fits no secret in use: "
            "compare the webhook's secret in MLflow with webhook.secret_file"
        )
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - sent_at) > tolerance:
        raise StaleDeliveryError(
            f"the delivery was signed more than {tolerance.total_seconds():.0f} s from now: "
            "compare the clocks of MLflow's machine and this one"
        )
    return Delivery(delivery, sent_at, body)


def _made_by_any(secrets: Sequence[bytes], signed: bytes, given: bytes) -> bool:
    # A list, not a generator: each secret is compared, whichever fits, so that time tells nothing.
    fits = [hmac.compare_digest(_signature(secret, signed), given) for secret in secrets if secret]
    return any(fits)


def _signature(secret: bytes, signed: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256))
