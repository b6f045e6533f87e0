"""The pages of docs/ that the program itself writes: ``make docs``; a test compares them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.kserve.rights import RIGHTS, SMOKE_RIGHTS, Right
from pipeline.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def settings_page() -> str:
    """Write every key of laurel.yaml with its default and what it is for."""
    rows = "\n".join(_rows(Settings, ""))
    return f"""# laurel.yaml

Every key, its default and what it is for. Unknown keys are errors that name the nearest key.
Durations are written `500ms`, `30s`, `10m`, `24h`, `7d`; sizes `500MB`, `50GB`, `50GiB`.
Relative paths start at the file's folder. Any key of a section may be set by
`LAUREL_SECTION__KEY`; secrets only so, or in files named by `*_file`. `laurel init` writes a first
file. This page is written by `make docs`.

In an editor that knows JSON Schema for YAML, keys complete themselves, say what they are for, and
are marked where they are wrong. Write the schema once, and name it in laurel.yaml's first line:

```sh
laurel schema > laurel.schema.json
sed -i '1i\\# yaml-language-server: $schema=laurel.schema.json' laurel.yaml
```

Laurel itself checks more: names, addresses, and what must go together.

| key | default | what it is for |
| --- | --- | --- |
{rows}
"""


def _rows(section: type[BaseModel], above: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = _section(field.annotation)
        if inner is None:
            yield f"| `{above}{name}` | {_default(field)} | {_told(field)} |"
        else:
            many = "[]" if "tuple" in str(field.annotation) else ""
            yield f"| **`{above}{name}{many}`** | | {_told(field)} |"
            yield from _rows(inner, f"{above}{name}{many}.")


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [_section(part) for part in getattr(annotation, "__args__", ())]
    return next((found for found in inner if found is not None), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default in (None, "", (), {}):
        return ""
    if isinstance(default, tuple):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{default}`"


def _told(field: FieldInfo) -> str:
    assert field.description, "every setting has a docstring"
    return " ".join(field.description.split()).replace("``", "`").replace("|", "\\|")


def kserve_page() -> str:
    """Write the rights of a promotion into their place; the rest of the page is a person's."""
    rows = [*_rights(RIGHTS, "services"), *_rights(SMOKE_RIGHTS, "smoke")]
    table = "\n".join(
        ["| namespace of | verb | resource | to |", "| --- | --- | --- | --- |", *rows]
    )
    text = (DOCS / "kserve.md").read_text()
    return re.sub(r"(?<=<!-- rights -->\n).*?(?=<!-- end -->)", f"{table}\n", text, flags=re.DOTALL)


def _rights(rights: tuple[Right, ...], where: str) -> Iterator[str]:
    for right in rights:
        kind = right.kind.group or "core"
        why = right.why.removeprefix("to ")
        yield f"| {where} | `{right.verb}` | `{right.resource}` ({kind}) | {why} |"


PAGES = {"settings.md": settings_page, "kserve.md": kserve_page}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
