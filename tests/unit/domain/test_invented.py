import json
from typing import Any

import pytest

from pipeline.domain.invented import invented_request


def request(columns: object) -> Any:  # noqa: ANN401 - JSON
    body = invented_request(json.dumps({"inputs": json.dumps(columns)}))
    return body and json.loads(body)


def test_named_columns_become_one_row() -> None:
    columns = [
        {"type": kind, "name": kind}
        for kind in ["boolean", "integer", "long", "float", "double", "string", "datetime"]
    ]
    names = [column["name"] for column in columns]
    row = [True, 1, 1, 1.0, 1.0, "a", "2026-01-01T00:00:00"]
    assert request(columns) == {"dataframe_split": {"columns": names, "data": [row]}}


def test_an_unnamed_column_becomes_a_list_of_one_input() -> None:
    assert request([{"type": "string", "required": True}]) == {"inputs": ["a"]}


def test_nested_columns_are_filled_to_the_leaf() -> None:
    columns = [
        {"name": "tags", "type": "array", "items": {"type": "string"}},
        {"name": "by", "type": "map", "values": {"type": "long"}},
        {"name": "who", "type": "object", "properties": {"age": {"type": "integer"}}},
    ]
    assert request(columns)["dataframe_split"]["data"] == [[["a"], {"a": 1}, {"age": 1}]]


def test_a_tensor_gets_its_shape_with_one_where_any_length_will_do() -> None:
    spec = {"dtype": "float32", "shape": [-1, 2, 3]}
    assert request([{"type": "tensor", "tensor-spec": spec}]) == {"inputs": [[[1] * 3] * 2]}


def test_named_tensors_are_named_inputs() -> None:
    columns = [
        {"name": "x", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}},
        {"name": "text", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},
    ]
    assert request(columns) == {"inputs": {"x": [1], "text": ["a"]}}


@pytest.mark.parametrize(
    "columns",
    [
        None,
        [{"name": "x", "type": "sparse"}],
        [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 10_000, 10_000]}}],
        [{"type": "double"}, {"type": "double"}],
        "nonsense",
    ],
)
def test_what_cannot_be_made_up_is_not(columns: object) -> None:
    assert request(columns) is None


def test_a_signature_that_is_no_json_is_not_made_up() -> None:
    assert invented_request("{") is None
