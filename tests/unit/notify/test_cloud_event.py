"""CloudEvents 1.0 in structured JSON, under the signature of Standard Webhooks."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.domain.serving import Hold
from pipeline.errors import ConfigurationError
from pipeline.notify.cloud_event import cloud_event, key_of, signed
from pipeline.notify.text import trial
from tests.unit.notify.telling import URL, last, told
from tests.unit.promotion_scene import SERVICE, Scene
from webhook_service.delivery import authenticate

# what the standard's own libraries are tested with
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
AT = datetime.fromtimestamp(1614265330, UTC)


def test_a_signature_is_the_one_of_the_standards_own_example() -> None:
    notice = replace(trial(AT, URL), id=ID)
    headers = signed(notice, BODY, [SECRET], AT)
    assert headers["webhook-id"] == ID
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == SIGNATURE


def test_a_secret_that_is_no_base64_is_its_bytes_as_mlflow_signs() -> None:
    notice = trial(AT, URL)
    headers = signed(notice, b"{}", [b"another", b"one of ours"], AT)
    for number, secret in enumerate((b"another", b"one of ours")):
        sent = {
            "x-mlflow-delivery-id": headers["webhook-id"],
            "x-mlflow-timestamp": headers["webhook-timestamp"],
            "x-mlflow-signature": headers["webhook-signature"].split(" ")[number],
        }
        authenticate(sent, b"{}", secrets=[secret], now=AT, tolerance=AT - AT)


def test_a_secret_that_only_looks_like_base64_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="whsec_ and has no base64") as refused:
        key_of(b"whsec_hunter2!")
    assert "hunter2" not in str(refused.value)


def test_an_end_is_an_event_that_programs_read(one: Scene) -> None:
    one.promote(1)
    (promotion,) = one.promotions
    event = json.loads(cloud_event(told(one), URL))
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": last(one, "ended").hash,
        "source": URL,
        "type": "dev.laurel.promotion.succeeded",
        "subject": "fraud",
        "time": last(one, "ended").at,
        "datacontenttype": "application/json",
    }
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in event)
    assert data == {
        "service": "fraud",
        "title": "fraud: scorer/1 was promoted",
        "reason": promotion.reason,
        "urgency": "success",
        "topics": ["succeeded"],
        "link": f"{URL}/promotions/{promotion.id}",
        "promotion": {
            "id": promotion.id,
            "kind": "promotion",
            "phase": "succeeded",
            "model": {"name": "scorer", "version": 1, "workspace": ""},
            "asked_by": {"actor": "mlflow", "kind": "reconciler"},
            "image": str(promotion.image),
            "previous_image": None,
        },
    }


def test_what_concerns_no_promotion_names_none(one: Scene) -> None:
    one.ledger.holds.set(SERVICE, Hold("ada", "an audit", one.clock.now()))
    event = json.loads(cloud_event(told(one, "held"), URL))
    assert (event["type"], event["data"]["promotion"]) == ("dev.laurel.service.held", None)
