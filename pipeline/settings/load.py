"""Read laurel.yaml with the environment over it; every fault names its key and the nearest one."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import ConfigurationError
from pipeline.settings import SHORT, Settings
from pipeline.settings.fields import Section

_LARGEST = 1 << 20
_PREFIX = "LAUREL_"
_WHOLE = {"LAUREL_LEDGER", "LAUREL_REGISTRY"}  # where things are kept, each one value


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read settings from a file and from ``LAUREL_SECTION__KEY`` variables.

    Raises
    ------
    ConfigurationError
        For a file that is missing, too large or no YAML, and for every key or value that cannot be
        used; secrets are not shown.

    """
    raw = _read(path)
    for name, value in sorted(environment.items()):  # LAUREL_REGISTRY before LAUREL_REGISTRY__...
        section, nested, key = name.removeprefix(_PREFIX).lower().partition("__")
        if name in _WHOLE:
            raw[section] = value
        elif name.startswith(_PREFIX) and section == "notifications" and nested:
            _address(raw, name, key, value)
        elif name.startswith(_PREFIX) and nested:
            raw[section] = _expanded(section, raw.get(section, {}))
            if not isinstance(raw[section], dict):
                raise ConfigurationError(f"{name} sets a key of {section}, which is a single value")
            raw[section][key] = value
    for key, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            raw.setdefault(key, {})  # its defaults hold paths, which start at this file's folder
    try:
        return Settings.model_validate(raw, context={"folder": path.parent.absolute()})
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_told(error)}") from None


def _address(raw: dict[str, Any], variable: str, channel: str, value: str) -> None:
    """Give the channel that a variable names its address: ``LAUREL_NOTIFICATIONS__OPS``."""
    channels = raw.get("notifications")
    for each in channels if isinstance(channels, list) else ():
        if isinstance(each, dict) and str(each.get("name")).replace("-", "_") == channel:
            each["to"] = value
            return
    raise ConfigurationError(f"{variable}: notifications has no channel of this name")


def _expanded(section: str, value: Any) -> Any:  # noqa: ANN401 - YAML
    """Write ``serving: local`` out as ``serving: {target: local}``, so that more can be set."""
    return {SHORT[section]: value} if section in SHORT and isinstance(value, str) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: {error.strerror}; `laurel init` writes one, --config names another"
        ) from error
    if len(content) > _LARGEST:
        raise ConfigurationError(f"{path} is larger than 1 MiB: this is not a laurel.yaml")
    try:
        raw = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from error
    if not isinstance(raw, dict | None):
        raise ConfigurationError(f"{path} must hold keys such as `services:` at its top")
    return raw or {}


def _told(error: ValidationError) -> str:
    return "; ".join(_one(dict(fault)) for fault in error.errors(include_input=False))


def _one(fault: dict[str, Any]) -> str:
    location = [str(part) for part in fault["loc"]]
    where = ".".join(location)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _keys(fault["loc"]), n=1)
        return f"{where}: unknown key" + (f", did you mean {near[0]}?" if near else "")
    message: str = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _keys(location: tuple[str | int, ...]) -> list[str]:
    """List the keys that may stand where ``location`` points."""
    section: Any = Settings
    for part in location[:-1]:
        if isinstance(part, str) and part in section.model_fields:
            section = _section(section.model_fields[part].annotation)
    return list(section.model_fields)


def _section(annotation: Any) -> type[BaseModel]:  # noqa: ANN401 - any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return _section(annotation.__args__[0])
