"""What MLflow's webhook client sends, made anew: signed deliveries and the recorded ones."""

import base64
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "fixtures" / "mlflow-webhooks"
SECRET = b"whsec_laurel_fixture_secret_0001"
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def signature(secret: bytes, delivery: str, timestamp: str, body: bytes) -> str:
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def deliver(
    body: bytes,
    *,
    delivery: str | None = None,
    secret: bytes = SECRET,
    at: datetime = NOW,
    **headers: str,
) -> Call:
    """Sign a body as MLflow does; ``headers`` replace what it sends, by name with underscores."""
    delivery = delivery or str(uuid.uuid4())
    timestamp = str(int(at.timestamp()))
    sent = {
        "host": "127.0.0.1:8080",
        "content-type": "application/json",
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": timestamp,
        "x-mlflow-signature": signature(secret, delivery, timestamp, body),
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("POST", "/webhooks/mlflow", sent, body)


def call_for_rollback(
    body: object, *, delivery: str = "d-1", secret: bytes = b"of the pager", at: datetime = NOW
) -> Call:
    """Sign a call for a rollback as a pager does."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    timestamp = str(int(at.timestamp()))
    sent = {
        "host": "127.0.0.1:8080",
        "content-type": "application/json",
        "x-laurel-delivery-id": delivery,
        "x-laurel-timestamp": timestamp,
        "x-laurel-signature": signature(secret, delivery, timestamp, content),
    }
    return Call("POST", "/webhooks/rollback", sent, content)


def alias_event(
    model: object = "fraud-scorer",
    alias: object = "champion",
    version: object = "2",
    action: str = "created",
    **top: object,
) -> bytes:
    data = {"name": model, "alias": alias, "version": version}
    if action == "deleted":
        del data["version"]
    content: dict[str, Any] = {"entity": "model_version_alias", "action": action, "data": data}
    return json.dumps(content | top).encode()


@dataclass(frozen=True)
class Recording:
    id: str
    call: Call
    secret: bytes | None
    received_at: datetime

    @property
    def delivery(self) -> str:
        return self.call.headers.get("X-MLflow-Delivery-Id", "")


def recordings() -> list[Recording]:
    return [_recording(json.loads(file.read_text())) for file in sorted(RECORDED.glob("*.json"))]


def _recording(recorded: dict[str, Any]) -> Recording:
    call = Call(
        recorded["method"], recorded["path"], recorded["headers"], recorded["body"].encode()
    )
    secret = None if recorded["secret"] is None else recorded["secret"].encode()
    received_at = datetime.fromtimestamp(recorded["received_at"], UTC)
    return Recording(recorded["id"], call, secret, received_at)
