"""laurel.yaml as a JSON Schema, for editors: what may stand where, and what it is for.

Draft 7, which every editor reads. Laurel itself reads more strictly: names, addresses and what must
fit together are checked when the file is loaded.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from pipeline.settings import SHORT, Settings
from pipeline.settings.fields import DURATION, SIZE, duration, size, whole_seconds
from pipeline.settings.pods import written

DIALECT = "http://json-schema.org/draft-07/schema#"
_WRITTEN: dict[Any, dict[str, Any]] = {
    duration: {"type": "string", "pattern": f"^{DURATION}$"},
    whole_seconds: {"type": "string", "pattern": f"^{DURATION}$"},
    size: {"type": "string", "pattern": f"^{SIZE}$"},
    written: {"type": "number"},
}
"""What else may be written where a function reads it."""
_BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}
_SECRET = {"format": "password", "type": "string", "writeOnly": True}


def settings_schema() -> dict[str, Any]:
    """Write the schema of laurel.yaml; secrets have no place in it, as in the file."""
    schema = Settings.model_json_schema(schema_generator=_Generator)
    sections = schema["properties"]
    for name, key in SHORT.items():
        whole = {"$ref": sections[name]["$ref"]}
        alone = {"$ref": f"{whole['$ref']}/properties/{key}"}
        sections[name] = {**sections[name], "anyOf": [alone, whole]}
        del sections[name]["$ref"]
    return {"$schema": DIALECT, "title": "laurel.yaml", **_tidied(schema)}


class _Generator(GenerateJsonSchema):
    """pydantic's own, which also knows durations, sizes and amounts as people write them."""

    def function_before_schema(
        self, schema: core_schema.BeforeValidatorFunctionSchema
    ) -> JsonSchemaValue:
        read = super().function_before_schema(schema)
        also = _WRITTEN.get(schema["function"]["function"])
        return read if also is None else {"anyOf": [read, also]}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's types of schemas
        del schema
        return False


def _tidied(node: dict[str, Any]) -> dict[str, Any]:
    """Write one schema, and those in it, as every validator reads them."""
    said: dict[str, Any] = {}
    for key, value in node.items():
        match key, value:
            case (("properties" | "$defs"), dict()):
                said[key] = {
                    name: _tidied(each) for name, each in value.items() if not _secret(each)
                }
            case (("anyOf" | "allOf"), list()):
                said[key] = [_tidied(each) for each in value]
            case (("items" | "additionalProperties" | "propertyNames"), dict()):
                said[key] = _tidied(value)
            case "pattern", str():
                said[key] = value.replace(r"\z", "$")  # which JavaScript does not know
            case "description", str():
                said[key] = " ".join(value.split()).replace("``", "`")
            case "title", _:
                pass  # the names of classes
            case "default", (None | dict()):
                pass  # what a section has by default stands in it
            case _:
                said[_BOUNDS.get(key, key)] = value
    return said


def _secret(node: dict[str, Any]) -> bool:
    return _SECRET in node.get("anyOf", [node])
