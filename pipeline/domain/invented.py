"""Requests made up from a model's signature, for a model that was logged without an example."""

import json
from typing import Any

_MOST_VALUES = 100_000

_VALUES: dict[str, Any] = {
    "boolean": True,
    "integer": 1,
    "long": 1,
    "float": 1.0,
    "double": 1.0,
    "string": "a",
    "binary": "YQ==",
    "datetime": "2026-01-01T00:00:00",
    "any": "a",
}


def invented_request(signature: str) -> str | None:
    """Write a request body in MLflow's scoring protocol that fits the signature's inputs.

    The values mean nothing, so a model may fail on them without being bad (interfaces §8.17).
    ``None`` where the signature has inputs that cannot be made up.
    """
    try:
        columns = json.loads(json.loads(signature)["inputs"])
        if all("name" in column and column["type"] != "tensor" for column in columns):
            names = [column["name"] for column in columns]
            row = [_value(column) for column in columns]
            return json.dumps({"dataframe_split": {"columns": names, "data": [row]}})
        if len(columns) == 1 and "name" not in columns[0]:
            value = _value(columns[0])
            return json.dumps({"inputs": value if columns[0]["type"] == "tensor" else [value]})
        return json.dumps({"inputs": {column["name"]: _value(column) for column in columns}})
    except (ValueError, KeyError, TypeError):
        return None


def _value(kind: dict[str, Any]) -> object:
    if kind["type"] == "tensor":
        return _tensor(kind["tensor-spec"])
    if kind["type"] == "array":
        return [_value(kind["items"])]
    if kind["type"] == "map":
        return {"a": _value(kind["values"])}
    if kind["type"] == "object":
        return {name: _value(of) for name, of in kind["properties"].items()}
    return _VALUES[kind["type"]]


def _tensor(spec: dict[str, Any]) -> object:
    value: object = "a" if spec["dtype"] in {"str", "object"} else 1
    values = 1
    for length in reversed(spec["shape"]):
        values *= max(length, 1)
        if values > _MOST_VALUES:
            raise ValueError(spec["shape"])
        value = [value] * max(length, 1)
    return value
