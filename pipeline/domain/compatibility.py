"""Whether who calls one version of a model can call another: MLflow's signatures, side by side.

What is breaking is what a caller would notice who does not change: an input that is newly wanted,
a type that does not take what was sent, an output that is gone. What MLflow itself takes on
(``mlflow.models.utils``: columns too many, integers for longs) breaks nobody.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_WIDENS = {("integer", "long"), ("integer", "double"), ("float", "double")}
_PARTS = {"inputs": "input", "outputs": "output", "params": "parameter"}
_SAID = 120  # characters of a type in a sentence

Fields = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two signatures, as a clause."""

    what: str
    breaking: bool


def changes(before: str | None, after: str | None) -> tuple[Change, ...]:
    """List what becomes different; signatures are JSON as ``ModelDescription`` keeps them."""
    if before is None:
        return () if after is None else (Change("the signature is new", breaking=False),)
    if after is None:
        return (Change("it has no signature any more", breaking=True),)
    old, new = _read(before), _read(after)
    return tuple(
        change
        for part, differs in (("inputs", _input), ("outputs", _output), ("params", _parameter))
        for change in _of_part(_PARTS[part], old[part], new[part], differs)
    )


def breaking(found: tuple[Change, ...]) -> tuple[str, ...]:
    """Keep the clauses about what breaks callers."""
    return tuple(change.what for change in found if change.breaking)


def _of_part(word: str, old: Fields, new: Fields, differs: Any) -> Iterator[Change]:  # noqa: ANN401 - one of three functions
    for name in [*old, *(name for name in new if name not in old)]:
        yield from differs(f"{word} {name}", old.get(name), new.get(name))


def _input(
    name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> Iterator[Change]:
    if new is None:
        yield Change(f"{name} is not used any more", breaking=False)
    elif old is None:
        wanted = _required(new)
        yield Change(f"{name} is {'newly required' if wanted else 'new, and optional'}", wanted)
    else:
        if _required(new) and not _required(old):
            yield Change(f"{name} becomes required", breaking=True)
        elif _required(old) and not _required(new):
            yield Change(f"{name} becomes optional", breaking=False)
        if (was := _type(old)) != (becomes := _type(new)):
            widened = (was, becomes) in _WIDENS
            yield Change(f"{name} was {was[:_SAID]}, becomes {becomes[:_SAID]}", not widened)


def _output(
    name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> Iterator[Change]:
    if new is None:
        yield Change(f"{name} is gone", breaking=True)
    elif old is None:
        yield Change(f"{name} is new", breaking=False)
    elif (was := _type(old)) != (becomes := _type(new)):
        yield Change(f"{name} was {was[:_SAID]}, becomes {becomes[:_SAID]}", breaking=True)


def _parameter(
    name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> Iterator[Change]:
    if old is None or new is None or _type(old) != _type(new):
        yield from _output(name, old, new)
    elif old.get("default") != new.get("default"):
        was, becomes = (json.dumps(each.get("default"))[:_SAID] for each in (old, new))
        yield Change(f"{name} was {was} by default, becomes {becomes}", breaking=False)


def _required(field: Mapping[str, Any]) -> bool:
    return field.get("required", True) is not False


def _type(field: Mapping[str, Any]) -> str:
    """Write a field's type, whatever stands there, so that equal ones are equal texts."""
    more = {
        key: field[key]
        for key in ("tensor-spec", "items", "properties", "values", "shape")
        if field.get(key) is not None
    }
    said = field.get("type")
    plain = said if isinstance(said, str) else json.dumps(said, sort_keys=True)
    return f"{plain} {json.dumps(more, sort_keys=True)}" if more else plain


def _read(signature: str) -> dict[str, Fields]:
    """Read a signature's parts; what is not MLflow's shape names no field."""
    said = _json(signature)
    parts = said if isinstance(said, dict) else {}
    return {part: _fields(parts.get(part)) for part in _PARTS}


def _fields(text: object) -> Fields:
    listed = _json(text) if isinstance(text, str) else None
    fields = listed if isinstance(listed, list) else []
    return {
        str(field.get("name") or f"number {place}"): field
        for place, field in enumerate(fields, start=1)
        if isinstance(field, dict)
    }


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
