"""What the API says (interfaces §5), as tables for people."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.cli.output import Table
from pipeline.domain.references import ImageRef

_Json = Mapping[str, Any]


def services_table(services: Iterable[_Json], promotions: Mapping[str, _Json]) -> Table:
    """Show what serves where; ``promotions`` has the latest one of each service by its name."""
    rows = [
        (
            service["name"],
            f"{service['model']}@{service['alias']}",
            _of(service["stable"], "model_version"),
            _digest(_of(service["stable"], "image")),
            _share(service["canary"]),
            _held(service["hold"]),
            "yes" if service["drift"] else None,
            *_latest(promotions.get(service["name"])),
        )
        for service in services
    ]
    seen = ("service", "watches", "version", "digest", "canary", "hold", "drift")
    return Table((*seen, "latest", "phase"), rows)


def service_table(service: _Json) -> Table:
    """Show one service whole."""
    stable, canary = service["stable"], service["canary"]
    rows = [
        ("service", service["name"]),
        ("watches", f"{service['model']}@{service['alias']}"),
        ("target", service["target"]),
        ("url", f"{service['url']} (Host: {service['name']})"),
        ("serves version", _of(stable, "model_version")),
        ("image", _of(stable, "image")),
        ("revision", _revision(stable)),
        ("canary", _revision(canary)),
        ("canary image", _of(canary, "image")),
        ("foreign", service["foreign"]),
        ("hold", _held(service["hold"])),
        ("drift", service["drift"]),
        ("latest promotion", service["promotion"]),
        ("observed", when(service["observed_at"])),
    ]
    return Table(("what", "is"), rows)


def promotions_table(promotions: Iterable[_Json]) -> Table:
    """Show promotions, one line each."""
    rows = [
        (
            promotion["id"],
            promotion["service"],
            promotion["kind"],
            model_of(promotion),
            promotion["phase"],
            promotion["trigger"]["kind"],
            when(promotion["created_at"]),
            _took(promotion["started_at"], promotion["ended_at"]),
            promotion["reason"],
        )
        for promotion in promotions
    ]
    columns = ("id", "service", "kind", "model", "phase", "trigger", "created", "took", "reason")
    return Table(columns, rows)


def promotion_table(promotion: _Json) -> Table:
    """Show what one promotion is about, and where it stands."""
    waiting = promotion["waiting"]
    rows = [
        ("promotion", promotion["id"]),
        ("service", promotion["service"]),
        ("kind", promotion["kind"]),
        ("model", model_of(promotion)),
        ("phase", promotion["phase"]),
        ("reason", promotion["reason"]),
        ("waiting for", waiting and f"{waiting['for']} since {when(waiting['since'])}"),
        ("image", promotion["image"]),
        ("before", promotion["previous_image"]),
        ("trigger", f"{promotion['trigger']['kind']} by {promotion['trigger']['actor']}"),
        ("created", when(promotion["created_at"])),
        ("took", _took(promotion["started_at"], promotion["ended_at"])),
    ]
    return Table(("what", "is"), rows)


def steps_table(promotion: _Json) -> Table:
    """Show each step that began."""
    rows = [
        (
            step["name"],
            step["phase"],
            step["attempts"],
            _took(step["started_at"], step["ended_at"]),
            step["evidence"].get("reason"),
        )
        for step in promotion["steps"]
    ]
    return Table(("step", "phase", "attempts", "took", "why"), rows)


def canary_table(promotion: _Json) -> Table:
    """Show the last look at each share of traffic."""
    rows = [
        (
            f"{look['percent']} %",
            look["verdict"],
            look["samples"].get("stable"),
            look["samples"].get("canary"),
            when(look["started_at"]),
        )
        for look in promotion["canary"]
    ]
    return Table(("traffic", "verdict", "stable requests", "canary requests", "began"), rows)


def model_of(promotion: _Json) -> str:
    """Name the model version, or the alias while nobody has read what it names."""
    model = promotion["model"]
    if model["version"] is None:
        return f"{model['name']}@{model['alias']}" if model["alias"] else str(model["name"])
    return f"{model['name']}/{model['version']}"


def _latest(promotion: _Json | None) -> tuple[str | None, str | None]:
    return (None, None) if promotion is None else (model_of(promotion), promotion["phase"])


def _of(revision: _Json | None, field: str) -> Any:  # noqa: ANN401 - a cell
    return None if revision is None else revision[field]


def _share(revision: _Json | None) -> str | None:
    return None if revision is None else f"{revision['percent']} %"


def _revision(revision: _Json | None) -> str | None:
    return None if revision is None else f"{revision['revision']} at {revision['percent']} %"


def _held(hold: _Json | None) -> str | None:
    return None if hold is None else f"{hold['actor']}: {hold['reason']}".removesuffix(": ")


def _digest(image: str | None) -> str | None:
    return None if image is None else ImageRef.parse(image).digest.short


def when(moment: str | None) -> str | None:
    """Write a time as this machine's clock on the wall has it, to the second."""
    if moment is None:
        return None
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _took(start: str | None, end: str | None) -> str | None:
    if start is None:
        return None
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return f"{(until - datetime.fromisoformat(start)).total_seconds():.1f} s"
