"""What a caller would notice of a new signature is breaking; nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.compatibility import Change, breaking, changes

AMOUNT: dict[str, Any] = {"type": "double", "name": "amount", "required": True}
AGE: dict[str, Any] = {"type": "long", "name": "age", "required": True}
SCORE: dict[str, Any] = {"type": "double", "name": "score", "required": True}
DEPTH: dict[str, Any] = {"name": "depth", "type": "long", "default": 3, "shape": None}
TENSOR: dict[str, Any] = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}


def signature(
    inputs: list[dict[str, Any]] | None = None,
    outputs: list[dict[str, Any]] | None = None,
    params: list[dict[str, Any]] | None = None,
) -> str:
    said = {"inputs": inputs, "outputs": outputs, "params": params}
    return json.dumps({part: json.dumps(fields) for part, fields in said.items() if fields})


def inputs(*fields: dict[str, Any]) -> str:
    return signature(list(fields))


def outputs(*fields: dict[str, Any]) -> str:
    return signature([AMOUNT], list(fields))


def params(*fields: dict[str, Any]) -> str:
    return signature([AMOUNT], params=list(fields))


@pytest.mark.parametrize(
    ("before", "after", "what", "breaks"),
    [
        (inputs(AMOUNT), inputs(AMOUNT, AGE), "input age is newly required", True),
        (
            inputs(AMOUNT),
            inputs(AMOUNT, AGE | {"required": False}),
            "input age is new, and optional",
            False,
        ),
        (inputs(AMOUNT, AGE), inputs(AMOUNT), "input age is not used any more", False),
        (
            inputs(AMOUNT, AGE | {"required": False}),
            inputs(AMOUNT, AGE),
            "input age becomes required",
            True,
        ),
        (
            inputs(AMOUNT, AGE),
            inputs(AMOUNT, AGE | {"required": False}),
            "input age becomes optional",
            False,
        ),
        (
            inputs(AGE),
            inputs(AGE | {"type": "string"}),
            "input age was long, becomes string",
            True,
        ),
        (
            inputs(AGE | {"type": "integer"}),
            inputs(AGE),
            "input age was integer, becomes long",
            False,
        ),
        (
            inputs(TENSOR),
            inputs(TENSOR | {"tensor-spec": {"dtype": "float32", "shape": [-1, 5]}}),
            'becomes tensor {"tensor-spec": {"dtype": "float32", "shape": [-1, 5]}}',
            True,
        ),
        (outputs(SCORE, AGE), outputs(SCORE), "output age is gone", True),
        (outputs(SCORE), outputs(SCORE, AGE), "output age is new", False),
        (
            outputs(SCORE),
            outputs(SCORE | {"type": "float"}),
            "output score was double, becomes float",
            True,
        ),
        (params(DEPTH), params(), "parameter depth is gone", True),
        (params(), params(DEPTH), "parameter depth is new", False),
        (
            params(DEPTH),
            params(DEPTH | {"type": "double"}),
            "parameter depth was long, becomes double",
            True,
        ),
        (
            params(DEPTH),
            params(DEPTH | {"default": 4}),
            "parameter depth was 3 by default, becomes 4",
            False,
        ),
        (inputs(AMOUNT), None, "it has no signature any more", True),
        (None, inputs(AMOUNT), "the signature is new", False),
        (inputs(AMOUNT), inputs(AMOUNT | {"type": ["x"]}), 'becomes ["x"]', True),
    ],
)
def test_a_difference_is_told_and_judged(
    before: str | None, after: str | None, what: str, *, breaks: bool
) -> None:
    (change,) = changes(before, after)
    assert what in change.what
    assert change.breaking is breaks
    assert bool(breaking((change,))) is breaks


def test_what_stays_is_no_difference() -> None:
    same = signature([AMOUNT, AGE], [SCORE], [DEPTH])
    assert changes(same, same) == ()
    assert changes(None, None) == ()


@pytest.mark.parametrize("odd", ["[" * 100_000, "[]", '{"inputs": "[1]"}', '{"inputs": "{}"}', "{"])
def test_what_is_no_signature_names_no_field(odd: str) -> None:
    assert changes(odd, inputs(AGE)) == (Change("input age is newly required", breaking=True),)


_FIELDS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from("abc"),
            "type": st.sampled_from(["long", "double", "string"]),
            "required": st.booleans(),
        }
    ),
    unique_by=lambda field: field["name"],
    max_size=3,
)


@given(_FIELDS, _FIELDS)
def test_whoever_could_call_before_can_call_after_where_nothing_breaks(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    sent = {field["name"]: field["type"] for field in old}
    wanted = {field["name"]: field["type"] for field in new if field["required"]}
    optional = {name for name, kind in sent.items() if not _required(old, name)}
    serves = all(
        name in sent and name not in optional and sent[name] == kind
        for name, kind in wanted.items()
    ) and all(
        sent.get(field["name"], field["type"]) == field["type"]
        for field in new
        if not field["required"]
    )
    assert (breaking(changes(inputs(*old), inputs(*new))) == ()) is serves


def _required(fields: list[dict[str, Any]], name: str) -> bool:
    return next(bool(field["required"]) for field in fields if field["name"] == name)
