"""From one object to the next as one RFC 6902 JSON patch in which every change has its guard.

All of a patch is applied, or nothing. A ``test`` of ``null`` on what is not there passes: so it
says "must be absent" (testbed.md 5).
"""

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_NAME = "name"


def difference(before: Json, after: Json) -> list[Json]:
    """Write the patch that turns ``before`` into ``after``; empty where they are equal.

    Lists are changed by index, from the front; what a list has more goes from its end.
    """
    return list(_object("", before, after))


def pointer(*keys: str | int) -> str:
    """Write a JSON pointer (RFC 6901)."""
    return "".join(f"/{_escaped(str(key))}" for key in keys)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _object(at: str, before: Json, after: Json) -> Iterator[Json]:
    for key in sorted(before.keys() | after.keys()):
        path = at + pointer(key)
        if key not in after:
            yield from ({"op": "test", "path": path, "value": before[key]}, _removed(path))
        elif key not in before:
            yield from ({"op": "test", "path": path, "value": None}, _added(path, after[key]))
        else:
            yield from _value(path, before[key], after[key])


def _value(path: str, before: Any, after: Any) -> Iterator[Json]:  # noqa: ANN401 - JSON
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _object(path, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list(path, before, after)
    else:
        yield {"op": "test", "path": path, "value": before}
        yield {"op": "replace", "path": path, "value": after}


def _list(at: str, before: list[Any], after: list[Any]) -> Iterator[Json]:
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        yield from _element(at + pointer(index), old, new)
    for index in reversed(range(len(after), len(before))):
        path = at + pointer(index)
        yield from ({"op": "test", "path": path, "value": before[index]}, _removed(path))
    for new in after[len(before) :]:
        yield _added(f"{at}/-", new)


def _element(path: str, old: Any, new: Any) -> Iterator[Json]:  # noqa: ANN401 - JSON
    """Change one element, sure that it is the one meant: what has a name is known by it."""
    if _same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict) and old.get(_NAME) == new.get(_NAME):
        if _NAME in old:
            yield {"op": "test", "path": path + pointer(_NAME), "value": old[_NAME]}
        yield from _object(path, old, new)
    else:
        yield {"op": "test", "path": path, "value": old}
        yield {"op": "replace", "path": path, "value": new}


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON
    """Compare as JSON does: ``1`` is not ``true``."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _added(path: str, value: Any) -> Json:  # noqa: ANN401 - JSON
    return {"op": "add", "path": path, "value": value}


def _removed(path: str) -> Json:
    return {"op": "remove", "path": path}
