"""What the API and an audit say of a history, as tables for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.cli.output import Table
from pipeline.cli.tables import when
from pipeline.domain.references import ImageRef

_Json = Mapping[str, Any]


def served_table(served: Iterable[_Json]) -> Table:
    """Show what served, one line each."""
    columns = ("since", "until", "version", "digest", "why", "by", "promotion")
    return Table(columns, [_served_row(each) for each in served])


def _served_row(each: _Json) -> tuple[object, ...]:
    return (
        when(each["since"]),
        when(each["until"]),
        each["model"],
        ImageRef.parse(each["image"]).digest.short,
        each["why"],
        _on_whose_word(each),
        each["promotion"],
    )


def _on_whose_word(each: _Json) -> str | None:
    approved = ", ".join(each["approved_by"])
    return f"{each['actor']}; approved by {approved}" if approved else each["actor"]


def moment_table(found: _Json) -> Table:
    """Show what was the case at a moment."""
    canary, hold = found["canary"], found["hold"]
    rows: list[tuple[str, object]] = [("service", found["service"]), ("at", when(found["at"]))]
    for each in found["served"]:
        rows += [
            ("serves", each["model"]),
            ("image", each["image"]),
            ("since", when(each["since"])),
            ("until", when(each["until"])),
            ("why", each["why"]),
            ("by", each["actor"] and f"{each['actor']} ({each['trigger']})"),
            *([("approved by", ", ".join(each["approved_by"]))] if each["approved_by"] else []),
            ("promotion", each["promotion"]),
            *((name.replace("_", " "), said) for name, said in each["evidence"].items()),
        ]
    if not found["served"]:
        rows.append(("serves", None))
    if canary:
        share = f"{canary['model'] or canary['promotion']} at {canary['percent']} %"
        rows += [("canary", share), ("canary image", canary["image"])]
    if hold:
        rows.append(("hold", f"{hold['actor']}: {hold['reason']} (since {when(hold['since'])})"))
    return Table(("what", "is"), rows)


def audit_table(audit: _Json) -> Table:
    """Show what an audit found out."""
    head, missing = audit["head"] or {}, audit["statements_missing"]
    statements = audit["statements"]
    rows = [
        ("service", audit["service"]),
        ("verified", "yes" if audit["verified"] else "no"),
        ("entries", head.get("number")),
        ("head", head.get("hash")),
        ("signed statements", statements),
        ("statements missing", missing or None),
    ]
    return Table(("what", "is"), rows)
