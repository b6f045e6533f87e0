"""Evidence as JSON and back, for checkpoints: named by its class, read only into known classes."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from pipeline.domain import evidence

_KINDS: dict[str, type] = {
    name: value
    for name, value in vars(evidence).items()
    if isinstance(value, type) and value.__module__ == evidence.__name__
}
_LONG, _MANY = 500, 20
_NEVER = {"VerifiedImage", "AdmittedImage"}
"""Made anew before traffic, never read back (interfaces §8.16)."""


def to_json(value: object) -> dict[str, Any]:
    """Write evidence, or ``None``, as JSON."""
    if value is None:
        return {"kind": None}
    kind = type(value).__name__
    return {"kind": kind, "value": _adapter(kind).dump_python(value, mode="json")}


def from_json(recorded: dict[str, Any]) -> Any:  # noqa: ANN401 - whichever class was written
    """Read what :func:`to_json` wrote."""
    kind = recorded["kind"]
    return None if kind is None else _adapter(kind).validate_python(recorded["value"])


def told(value: object) -> dict[str, Any]:
    """Write evidence for people: every field, but no more of long texts and lists than tells."""
    if value is None:
        return {}
    shown = _brief(TypeAdapter(type(value)).dump_python(value, mode="json"))
    return shown if isinstance(shown, dict) else {}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    if kind in _NEVER or kind not in _KINDS:
        raise TypeError(f"{kind} is no evidence that a checkpoint may hold")
    return TypeAdapter(_KINDS[kind])


def _brief(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {key: _brief(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_brief(item) for item in value[:_MANY]]
    if isinstance(value, str) and len(value) > _LONG:
        return value[:_LONG] + "…"
    return value
