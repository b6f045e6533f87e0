"""Headers and bytes to an authenticated delivery: a pure function, so that it is tested alone.

MLflow signs ``{id}.{timestamp}.{body}`` with HMAC-SHA256 and sends ``v1,<base64>``; the secret is
its UTF-8 text, not base64 as in Standard Webhooks (mlflow/webhooks/delivery.py). Laurel's own
webhook takes the same under other header names. The bytes are authenticated before anything reads
them as JSON.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.errors import SignatureMismatchError, StaleDeliveryError, UnsignedDeliveryError

_ID = re.compile(r"[\x21-\x7e]{1,200}\Z")
_TIMESTAMP = re.compile(r"[0-9]{1,11}\Z")


@dataclass(frozen=True, slots=True)
class Scheme:
    """Whose calls: what their headers begin with, and what to tell who cannot sign them."""

    prefix: str
    unsigned: str
    unfit: str
    clocks: str

    def sent(self, headers: Mapping[str, str], name: str) -> str:
        """Read one of its headers; none: ``""``."""
        return headers.get(self.prefix + name, "")


MLFLOW = Scheme(
    "x-mlflow-",
    "give the webhook in MLflow the secret that Laurel has",
    "compare the webhook's secret in MLflow with webhook.secret_file",
    "compare the clocks of MLflow's machine and this one",
)
ROLLBACK = Scheme(
    "x-laurel-",
    "send X-Laurel-Delivery-Id, X-Laurel-Timestamp and X-Laurel-Signature",
    "sign with the secret in rollback.secret_file",
    "compare the clocks of your machine and this one, and sign each call anew",
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP call whose sender is known; ``id`` stays the same when it is repeated."""

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
    scheme: Scheme = MLFLOW,
) -> Delivery:
    """Tell whether who has the secret made this call, from nothing but what was sent.

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
    scheme
        Whose call it should be.

    Raises
    ------
    UnsignedDeliveryError
        Where id, timestamp or signature are missing, or the first two are not of that shape.
    SignatureMismatchError
        Where no secret made the signature.
    StaleDeliveryError
        Where an authentic delivery is older, or newer, than ``tolerance`` allows.

    """
    delivery = scheme.sent(headers, "delivery-id")
    timestamp = scheme.sent(headers, "timestamp")
    given = scheme.sent(headers, "signature")
    if not (_ID.match(delivery) and _TIMESTAMP.match(timestamp) and given):
        raise UnsignedDeliveryError(f"the delivery is not signed: {scheme.unsigned}")
    signed = f"{delivery}.{timestamp}.".encode() + body
    if not _made_by_any(secrets, signed, given.encode(errors="replace")):
        raise SignatureMismatchError(f"the signature fits no secret in use: {scheme.unfit}")
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - sent_at) > tolerance:
        raise StaleDeliveryError(
            f"the delivery was signed more than {tolerance.total_seconds():.0f} s from now: "
            + scheme.clocks
        )
    return Delivery(delivery, sent_at, body)


def _made_by_any(secrets: Sequence[bytes], signed: bytes, given: bytes) -> bool:
    # A list, not a generator: each secret is compared, whichever fits, so that time tells nothing.
    fits = [hmac.compare_digest(_signature(secret, signed), given) for secret in secrets if secret]
    return any(fits)


def _signature(secret: bytes, signed: bytes) -> bytes:
    return b"v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256))
