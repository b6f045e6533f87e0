"""What a service served, and when, why and on whose word: read from its history alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pipeline.domain.chain import Entry

FATEFUL = ("accepted", "admitted", "ended", "held", "released")
STEP_ENDED = "step_ended"
FATEFUL_STEPS = ("verify", "observe", "attest_deployment", "complete")
"""The entries that tell what served: of these kinds, and the ends of these steps."""
LOOK = "look"

_EVIDENCE = ("artifact_digest", "lock_digest", "base_digest", "key_id")


@dataclass(frozen=True, slots=True)
class Served:
    """An image that served everything from ``since`` till ``until``.

    ``since`` is ``None`` where it served before anything was recorded, ``until`` where it still
    does. ``promotion`` is what put it there, on ``actor``'s word; ``None`` where somebody else did,
    and the target told. ``approved_by`` are those on whose word it was let in. ``evidence`` are
    digests: of what the image was made of, the key, and the signed deployment statement.
    """

    image: str
    model: str | None
    since: datetime | None
    until: datetime | None
    promotion: str | None
    kind: str | None
    why: str
    actor: str | None
    trigger: str | None
    approved_by: tuple[str, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)

    def at(self, moment: datetime) -> bool:
        """Tell whether it served at a moment."""
        begun = self.since is None or self.since <= moment
        return begun and (self.until is None or moment < self.until)


@dataclass(frozen=True, slots=True)
class CanaryThen:
    """An image that took ``percent`` of the traffic at some moment."""

    image: str | None
    model: str | None
    percent: int
    promotion: str


@dataclass(frozen=True, slots=True)
class HeldThen:
    """A hold that stood at some moment."""

    actor: str
    reason: str
    since: datetime


def served(entries: Iterable[Entry]) -> tuple[Served, ...]:
    """List what served, oldest first, from the :data:`FATEFUL` entries."""
    accepted: dict[str, dict[str, Any]] = {}
    agreed: dict[str, tuple[str, ...]] = {}
    steps: dict[str, dict[str, Entry]] = {}
    path: list[Served] = []
    for entry in entries:
        promotion = entry.promotion or ""
        if entry.kind == "accepted":
            accepted[promotion] = entry.data
        elif entry.kind == "admitted":
            agreed[promotion] = tuple(entry.data["approved_by"])
        elif entry.kind == STEP_ENDED and entry.data.get("phase") == "succeeded":
            steps.setdefault(promotion, {})[str(entry.data.get("name"))] = entry
        elif entry.kind == "ended" and entry.data["image"] and entry.data["phase"] == "succeeded":
            done = steps.pop(promotion, {})
            arrived = _served(entry, accepted.get(promotion, {}), done)
            arrived = replace(arrived, approved_by=agreed.get(promotion, ()))
            _arrive(path, arrived, _told(entry, done, path))
    return tuple(path)


def served_at(path: Iterable[Served], moment: datetime) -> Served | None:
    """Find what served at a moment; where a clock was set back, what was recorded last."""
    return next((each for each in reversed(tuple(path)) if each.at(moment)), None)


def running_at(entries: Iterable[Entry], moment: datetime) -> str | None:
    """Name the promotion that may have had a canary at a moment: the last not ended by then."""
    running: list[str] = []
    for entry in entries:
        if entry.promotion and time_of(entry) <= moment:
            if entry.kind == "accepted":
                running.append(entry.promotion)
            elif entry.kind == "ended" and entry.promotion in running:
                running.remove(entry.promotion)
    return running[0] if running else None


def canary_at(
    entries: Sequence[Entry], looks: Iterable[Entry], moment: datetime
) -> CanaryThen | None:
    """Tell what a promotion's canary took at a moment, from its own entries and its looks."""
    seen = [look for look in looks if time_of(look) <= moment]
    if not seen or seen[-1].data.get("verdict") == "fail":
        return None
    last, image, model = seen[-1], None, None
    for entry in entries:
        if entry.kind != STEP_ENDED or entry.promotion != last.promotion:
            continue
        if entry.data.get("name") == "complete" and time_of(entry) <= moment:
            return None
        if entry.data.get("name") == "verify" and entry.data.get("phase") == "succeeded":
            image, model = _verified(entry.data["evidence"])
    return CanaryThen(image, model, int(last.data["percent"]), last.promotion or "")


def held_at(entries: Iterable[Entry], moment: datetime) -> HeldThen | None:
    """Find the hold that stood at a moment."""
    hold = None
    for entry in entries:
        if time_of(entry) <= moment:
            if entry.kind == "held":
                hold = HeldThen(entry.data["actor"], entry.data["reason"], time_of(entry))
            elif entry.kind == "released":
                hold = None
    return hold


def time_of(entry: Entry) -> datetime:
    """Read an entry's time."""
    return datetime.fromisoformat(entry.at)


def _arrive(path: list[Served], arrived: Served, told: Served | None) -> None:
    """Go on to what serves now, over what the target told of before."""
    for each in (told, arrived):
        if each is not None and (not path or path[-1].image != each.image):
            if path:
                path[-1] = replace(path[-1], until=each.since)
            path.append(each)


def _served(ended: Entry, asked: Mapping[str, Any], done: Mapping[str, Entry]) -> Served:
    stated = done["attest_deployment"].data["evidence"] if "attest_deployment" in done else {}
    evidence = {name: ended.data[name] for name in _EVIDENCE}
    evidence["deployment_statement"] = stated.get("value")
    trigger = asked.get("trigger") or {}
    return Served(
        image=ended.data["image"],
        model=_model(ended.data["model"]),
        since=time_of(done.get("complete", ended)),
        until=None,
        promotion=ended.promotion,
        kind=ended.data["kind"],
        why=_why(asked, ended.data),
        actor=trigger.get("actor"),
        trigger=trigger.get("kind"),
        evidence={name: said for name, said in evidence.items() if said},
    )


def _told(ended: Entry, done: Mapping[str, Entry], path: Sequence[Served]) -> Served | None:
    """Make an interval of what served though nothing in this history put it there, as far as known.

    Where something else served before, it is dated by when it was seen.
    """
    image = ended.data["previous_image"]
    if image is None:
        return None
    model = next((each.model for each in reversed(path) if each.image == image), None)
    since = time_of(done.get("observe", ended)) if path else None
    why = "its target told so; nothing in this history put it there"
    return Served(image, model, since, None, None, None, why, None, None)


def _why(asked: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    if asked.get("reason"):
        return str(asked["reason"])
    if ended["kind"] == "rollback":
        return "rolled back"
    model, alias = _model(ended["model"]), asked.get("alias")
    return f"@{alias} named {model}" if alias else f"{model} was promoted by hand"


def _model(said: Mapping[str, Any]) -> str | None:
    return f"{said['name']}/{said['version']}" if said["version"] else None


def _verified(evidence: Mapping[str, Any]) -> tuple[str, str | None]:
    ref = evidence["ref"]
    return f"{ref['repository']}@{ref['digest']['value']}", _model(evidence["model"])
