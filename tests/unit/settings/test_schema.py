"""The JSON Schema that editors get takes what Laurel takes, and knows what each key is for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel, SecretStr

from pipeline.cli import main
from pipeline.cli.new_files import Wanted, settings_text
from pipeline.settings import Settings
from pipeline.settings.schema import DIALECT, settings_schema
from tests.architecture.commands import PAGES
from tests.architecture.pages import _section

SCHEMA = settings_schema()
ROOT = Path(__file__).parents[3]
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_SAID = {"$schema", "$defs", "title", "description", "default", "format"}
_JUDGED = {
    *("$ref", "anyOf", "type", "enum", "pattern", "minLength", "minItems", "items", "required"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("properties", "additionalProperties"),
}


def fits(value: object, schema: dict[str, Any]) -> bool:
    """Judge as a validator does, by the keywords of draft 7 that the schema uses and no other."""
    assert schema.keys() <= _SAID | _JUDGED, schema.keys() - _SAID - _JUDGED
    if "$ref" in schema:  # whatever stands beside it is ignored, in draft 7
        target: Any = SCHEMA
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return fits(value, target)
    if "anyOf" in schema and not any(fits(value, each) for each in schema["anyOf"]):
        return False
    if "type" in schema and not _is(value, schema["type"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    return all(judge(value, schema) for judge in (_number, _text, _list, _object))


def _is(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _number(value: object, schema: dict[str, Any]) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    low, high = schema.get("exclusiveMinimum", value - 1), schema.get("exclusiveMaximum", value + 1)
    inside: bool = low < value < high
    bounded: bool = schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return inside and bounded


def _text(value: object, schema: dict[str, Any]) -> bool:
    if not isinstance(value, str):
        return True
    long = len(value) >= schema.get("minLength", 0)
    return long and re.search(schema.get("pattern", ""), value) is not None


def _list(value: object, schema: dict[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    items = schema.get("items", {})
    return len(value) >= schema.get("minItems", 0) and all(fits(each, items) for each in value)


def _object(value: object, schema: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not set(schema.get("required", ())) <= value.keys():
        return False
    unknown = value.keys() - known.keys()
    if unknown and others is False:
        return False
    rest = others if isinstance(others, dict) else {}
    return all(fits(each, known.get(key, rest)) for key, each in value.items())


def read(text: str) -> Any:  # noqa: ANN401 - YAML
    """Read YAML as editors do: in 1.2, ``on`` is a word."""
    return yaml.safe_load(re.sub(r"\bon:", "'on':", text))


def settings(section: type[BaseModel], schema: dict[str, Any], above: str = "") -> Iterator[str]:
    """List the keys that the schema knows not, or says nothing about; secrets apart."""
    for name, field in section.model_fields.items():
        if SecretStr in getattr(field.annotation, "__args__", ()):
            if name in schema["properties"]:
                yield f"{above}{name} is a secret"
            continue
        said = schema["properties"].get(name, {})
        inner = _section(field.annotation)
        if inner is not None:
            yield from settings(inner, SCHEMA["$defs"][inner.__name__], f"{above}{name}.")
        elif "`" * 2 in said.get("description", "``"):
            yield f"{above}{name}"


def test_it_is_printed_where_there_are_no_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(main, ["schema"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == SCHEMA


def test_every_key_but_secrets_is_known_and_told_what_it_is_for() -> None:
    assert SCHEMA["$schema"] == DIALECT
    assert list(settings(Settings, SCHEMA)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_shown_fits_the_schema(page: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        assert fits(read(block), SCHEMA), block


@pytest.mark.parametrize("path", ["k8s/base/laurel.yaml", "k8s/examples/mine/laurel.yaml"])
def test_the_settings_of_the_manifests_fit_the_schema(path: str) -> None:
    assert fits(read((ROOT / path).read_text()), SCHEMA)


@pytest.mark.parametrize("model", ["fraud-scorer", None])
def test_what_init_writes_fits_the_schema(model: str | None) -> None:
    assert fits(read(settings_text(Wanted("http://127.0.0.1:5000", 8080, model, None))), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "serving: local",
        "metrics: envoy",
        "registry: registry.example.com/ml",
        "mlflow: {poll: 5}",
        "worker: {cache_limit: 1.5 GiB}",
        "services: [{name: f, model: m, resources: {cpu: 0.5, memory: 1Gi}, timeout: 10m}]",
        "webhook: {secret_file: [new.secret, old.secret]}",
    ],
)
def test_what_may_be_written_in_other_ways_fits_in_each(text: str) -> None:
    assert fits(read(text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "mlflow: {pol: 3s}",
        "mlflow: {poll: 3 parsecs}",
        "mlflow: {poll: 0}",
        "mlflow: {token: a secret}",
        "notifications: [{name: ops, to: 'slack://a/secret'}]",
        "serving: {port: 0}",
        "serving: kubernetes",
        "services: [{name: fraud}]",
        "services: [{name: f, model: m, canary: {steps: [0]}}]",
        "services: [{name: f, model: m, on_return: perhaps}]",
        "services: [{name: f, model: m, resources: {cpu: [1]}}]",
        "services: [{name: f, model: m, adopt: maybe}]",
        "services: [{name: f, model: ''}]",
        "worker: {cache_limit: 5 apples}",
        "auth: {oidc: [{issuer: https://a, audience: b, allow: []}]}",
    ],
)
def test_what_laurel_would_refuse_is_seen_in_the_editor(text: str) -> None:
    assert not fits(read(text), SCHEMA)
