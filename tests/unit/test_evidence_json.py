"""What a checkpoint holds comes back as it was; a verified image is never held."""

import dataclasses
import json
import types
import typing
from datetime import datetime
from typing import Any

import pytest

from pipeline.domain import evidence
from pipeline.domain.evidence import AdmittedImage, Refused, VerifiedImage
from pipeline.domain.promotion import Control, ControlKind
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.serving import Readiness
from pipeline.evidence_json import from_json, to_json, told
from tests.fakes.clock import START
from tests.unit.steps.serving_scene import verified

CLASSES = [
    value
    for value in vars(evidence).values()
    if isinstance(value, type) and value.__module__ == evidence.__name__
]
DIGEST = Digest.of(b"some bytes")
SAMPLES: dict[Any, Any] = {
    str: "text with ünïcode",
    int: 7,
    float: 1.5,
    dict[str, Any]: {"looks": [{"percent": 10, "worse": None}]},
    dict[str, str]: {"validated": "true"},
    datetime: START,
    Readiness: Readiness.READY,
    Control: Control(ControlKind.ABORT, "ada", "not this one", START),
    Digest: DIGEST,
    ImageRef: ImageRef("ml/fraud", DIGEST),
    ModelVersion: ModelVersion("fraud", 7, "team-a"),
}


def sample(kind: Any) -> Any:  # noqa: ANN401 - a field's type, and a value of it
    if kind in SAMPLES:
        return SAMPLES[kind]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return typing.cast("Any", kind)(**{name: sample(hint) for name, hint in hints.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return (sample(arguments[0]),) * 2
    assert origin is types.UnionType, f"a sample of {kind} is missing here"
    return sample(arguments[0])


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if kind not in {VerifiedImage, AdmittedImage}]
)
def test_evidence_survives_its_checkpoint(kind: type) -> None:
    value = sample(kind)
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


def test_nothing_survives_too() -> None:
    assert from_json(to_json(None)) is None


def test_a_verified_image_is_neither_written_nor_read() -> None:
    with pytest.raises(TypeError, match="VerifiedImage"):
        to_json(verified(1))
    with pytest.raises(TypeError, match="VerifiedImage"):
        from_json({"kind": "VerifiedImage", "value": {}})


def test_what_is_no_evidence_is_not_held() -> None:
    with pytest.raises(TypeError, match="Digest"):
        to_json(DIGEST)
    with pytest.raises(TypeError, match="Path"):
        from_json({"kind": "Path", "value": "/etc"})


def test_what_people_are_told_is_short() -> None:
    long = Refused("x" * 900, {"looks": list(range(50)), "why": {"deep": "y" * 900}})
    shown = told(long)
    assert len(shown["reason"]) == 501
    assert len(shown["evidence"]["looks"]) == 20
    assert len(shown["evidence"]["why"]["deep"]) == 501
    assert told(None) == {}
    assert told("text") == {}
