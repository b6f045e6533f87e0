"""An authenticated body to a typed alias event, or the reason why it means nothing to Laurel."""

import json
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.domain.delivery import AliasAction
from pipeline.domain.references import parse_version
from pipeline.errors import InvalidReferenceError, MalformedDeliveryError

_ALIAS_ENTITY = "model_version_alias"
_TEST_MODEL = "example_model"
_TEST_ALIAS = "example_alias"
_LONGEST_NAME = 500  # MLflow's own columns hold 256 characters


class Ignored(StrEnum):
    """Why an authentic delivery asks for nothing; the text is part of the answer."""

    TEST = "test delivery"
    NO_ALIAS_EVENT = "not an alias event of a model version"
    UNWATCHED = "nothing watches this model and alias"


@dataclass(frozen=True, slots=True)
class AliasEvent:
    """MLflow says that an alias was set or deleted; ``version`` is ``None`` for a deletion."""

    action: AliasAction
    model: str
    alias: str
    version: int | None
    workspace: str


def parse(body: bytes) -> AliasEvent | Ignored:
    """Read a delivery's body strictly.

    Raises
    ------
    MalformedDeliveryError
        For what MLflow never writes: another encoding than UTF-8, no JSON object, repeated keys,
        ``NaN``, wrong types, names with control characters or lone surrogates. The message names
        the field and repeats nothing of the body.

    """
    content = _object(body)
    entity, action = _text(content, "entity"), _text(content, "action")
    data = content.get("data")
    if not isinstance(data, dict):
        raise MalformedDeliveryError("the body's data is not an object")
    if _is_test(entity, data):
        return Ignored.TEST
    if entity != _ALIAS_ENTITY or action not in set(AliasAction):
        return Ignored.NO_ALIAS_EVENT
    return _alias_event(AliasAction(action), data, content)


def _is_test(entity: str, data: dict[str, Any]) -> bool:
    # MLflow's test deliveries carry a real signature and no mark but their invented names
    # (mlflow/webhooks/constants.py).
    alias = data.get("alias") if entity == _ALIAS_ENTITY else _TEST_ALIAS
    return data.get("name") == _TEST_MODEL and alias == _TEST_ALIAS


def _alias_event(action: AliasAction, data: dict[str, Any], content: dict[str, Any]) -> AliasEvent:
    return AliasEvent(
        action,
        model=_name(data, "name"),
        alias=_name(data, "alias"),
        version=_version(data) if action is AliasAction.CREATED else None,
        workspace=_name(content, "workspace") if "workspace" in content else "",
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedDeliveryError("the body is not one JSON object in UTF-8") from error
    if not isinstance(content, dict):
        raise MalformedDeliveryError("the body is not one JSON object in UTF-8")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _text(data: dict[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str):
        raise MalformedDeliveryError(f"the body's {field} is not a text")
    return value


def _name(data: dict[str, Any], field: str) -> str:
    value = _text(data, field)
    plain = all(unicodedata.category(character) not in {"Cc", "Cs"} for character in value)
    if not plain or not 0 < len(value) <= _LONGEST_NAME:
        raise MalformedDeliveryError(
            f"the body's {field} is empty, too long or has characters that no name has"
        )
    return value


def _version(data: dict[str, Any]) -> int:
    try:
        return parse_version(_text(data, "version"))
    except InvalidReferenceError as error:
        raise MalformedDeliveryError("the body's version is not a whole number from 1") from error
