"""Authentication as a pure function."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    DeliveryError,
    SignatureMismatchError,
    StaleDeliveryError,
    UnsignedDeliveryError,
)
from tests.fakes.mlflow_webhook import (
    NOW,
    SECRET,
    Call,
    Recording,
    alias_event,
    deliver,
    recordings,
    signature,
)
from webhook_service.delivery import Delivery, authenticate

TOLERANCE = timedelta(minutes=10)
SIGNED = [r for r in recordings() if r.secret is not None and r.call.method == "POST"]


def check(call: Call, *secrets: bytes) -> Delivery:
    headers = {name.lower(): value for name, value in call.headers.items()}
    return authenticate(
        headers, call.body, secrets=secrets or (SECRET,), now=NOW, tolerance=TOLERANCE
    )


@pytest.mark.parametrize("recording", SIGNED, ids=lambda r: r.id)
def test_every_signed_recording_is_authentic(recording: Recording) -> None:
    assert recording.secret is not None
    delivery = authenticate(
        {name.lower(): value for name, value in recording.call.headers.items()},
        recording.call.body,
        secrets=[recording.secret],
        now=recording.received_at,
        tolerance=TOLERANCE,
    )
    assert delivery.id == recording.delivery
    assert delivery.body == recording.call.body


def test_the_secret_is_its_text_in_utf_8() -> None:
    secret = "sécret-模型-🔑".encode()
    assert check(deliver(b"{}", secret=secret), secret).sent_at == NOW


def test_each_secret_counts_while_one_is_rotated() -> None:
    call = deliver(b"{}", secret=b"old")
    assert check(call, b"old", b"new").id == check(call, b"new", b"old").id
    with pytest.raises(SignatureMismatchError):
        check(call, b"new")


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
def test_a_missing_header_is_unsigned(name: str) -> None:
    call = deliver(b"{}")
    headers = {key: value for key, value in call.headers.items() if not key.endswith(name)}
    with pytest.raises(UnsignedDeliveryError, match="not signed"):
        check(replace(call, headers=headers))


@pytest.mark.parametrize("delivery", ["", "a" * 201, "a b", "a\nb", "é", "\x00"])
def test_an_id_of_another_shape_is_unsigned_however_well_signed(delivery: str) -> None:
    headers = {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": str(int(NOW.timestamp())),
        "x-mlflow-signature": signature(SECRET, delivery, str(int(NOW.timestamp())), b"{}"),
    }
    with pytest.raises(UnsignedDeliveryError):
        authenticate(headers, b"{}", secrets=[SECRET], now=NOW, tolerance=TOLERANCE)


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "99999999999999", " 1", "١٢٣"])
def test_a_time_of_another_shape_is_unsigned(timestamp: str) -> None:
    with pytest.raises(UnsignedDeliveryError):
        check(deliver(b"{}", x_mlflow_timestamp=timestamp))


def test_an_empty_secret_opens_nothing() -> None:
    with pytest.raises(SignatureMismatchError):
        check(deliver(b"{}", secret=b""), b"", b"other")


def test_no_secret_opens_nothing() -> None:
    call = deliver(b"{}")
    with pytest.raises(SignatureMismatchError):
        authenticate(call.headers, call.body, secrets=[], now=NOW, tolerance=TOLERANCE)


def test_several_signatures_in_one_header_are_not_mlflows() -> None:
    call = deliver(b"{}")
    twice = " ".join([call.headers["x-mlflow-signature"]] * 2)
    with pytest.raises(SignatureMismatchError):
        check(deliver(b"{}", x_mlflow_signature=twice))


@pytest.mark.parametrize("seconds", [-600, -599, 0, 599, 600])
def test_ten_minutes_either_way_are_tolerated(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert check(deliver(b"{}", at=at)).sent_at == at


@pytest.mark.parametrize("seconds", [-601, 601, -(10**9), 10**10])
def test_an_older_or_newer_delivery_is_stale(seconds: int) -> None:
    with pytest.raises(StaleDeliveryError, match="600 s"):
        check(deliver(b"{}", at=NOW + timedelta(seconds=seconds)))


@given(st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    call = deliver(alias_event(), delivery="0b4f")
    part = data.draw(st.sampled_from(["body", "id", "timestamp", "signature"]))
    name = {"id": "x-mlflow-delivery-id", "timestamp": "x-mlflow-timestamp"}.get(
        part, "x-mlflow-signature"
    )
    original = call.body if part == "body" else call.headers[name].encode()
    bit = data.draw(st.integers(0, 8 * len(original) - 1))
    flipped = bytearray(original)
    flipped[bit // 8] ^= 1 << bit % 8
    if part == "body":
        changed = replace(call, body=bytes(flipped))
    else:
        changed = replace(call, headers=call.headers | {name: flipped.decode("latin-1")})
    with pytest.raises(DeliveryError):
        check(changed)


@given(st.text(), st.text(), st.text(), st.binary())
def test_whatever_strangers_send_is_refused(
    i: str, timestamp: str, given: str, body: bytes
) -> None:
    headers = {
        "x-mlflow-delivery-id": i,
        "x-mlflow-timestamp": timestamp,
        "x-mlflow-signature": given,
    }
    with pytest.raises(DeliveryError):
        authenticate(headers, body, secrets=[SECRET], now=NOW, tolerance=TOLERANCE)


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=40))
def test_whatever_mlflow_signs_is_authentic(body: bytes, secret: bytes) -> None:
    assert check(deliver(body, secret=secret), secret).body == body
