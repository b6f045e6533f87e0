"""``/services/{name}/history``: what served when, and every entry of the chain; exports of it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from pipeline.domain.chain import Entry
from pipeline.domain.export import csv_header, csv_line, json_line
from pipeline.domain.history import (
    LOOK,
    Served,
    canary_at,
    held_at,
    running_at,
    served,
    served_at,
)
from pipeline.ledger import Ledger
from webhook_service.access import Receiver, ReceiverParts, reader

router = APIRouter(prefix="/services", tags=["services"])
NDJSON, CSV = "application/x-ndjson", "text/csv"
_PAGE, _LARGEST_PAGE = 100, 1000
_After = Annotated[int, Query(ge=0, lt=1 << 63, description="the last entry seen")]
_Limit = Annotated[int | None, Query(ge=1, lt=1 << 31)]


class HeadJson(BaseModel):
    """How long a history is, and the hash of its last entry."""

    number: int
    hash: str


class ServedJson(BaseModel):
    """An image that served everything; ``until`` is null where it still does."""

    image: str
    model: str | None
    since: datetime | None
    until: datetime | None
    promotion: str | None
    kind: str | None
    why: str
    actor: str | None
    trigger: str | None
    approved_by: list[str]
    evidence: dict[str, str]


class CanaryThenJson(BaseModel):
    """An image that took a share of the traffic."""

    image: str | None
    model: str | None
    percent: int
    promotion: str


class HeldThenJson(BaseModel):
    """A hold."""

    actor: str
    reason: str
    since: datetime


class EntryJson(BaseModel):
    """One entry of the chain; ``at`` is a text, for it is hashed as it stands."""

    service: str
    number: int
    promotion: str | None
    at: str
    kind: str
    data: dict[str, Any]
    previous: str
    hash: str


class HistoryJson(BaseModel):
    """What served, the latest first; what else was the case ``at`` that time; entries.

    With ``at``, that which served then, and the entries of the promotion that put it there.
    """

    service: str
    head: HeadJson
    at: datetime
    served: list[ServedJson]
    canary: CanaryThenJson | None
    hold: HeldThenJson | None
    items: list[EntryJson]
    next: int | None


@router.get(
    "/{name}/history",
    dependencies=[Depends(reader)],
    response_model=HistoryJson,
    responses={200: {"content": {NDJSON: {}, CSV: {}}}},
)
def history(
    name: str,
    receiver: ReceiverParts,
    at: datetime | None = None,
    after: _After = 0,
    limit: _Limit = None,
    accept: Annotated[str, Header()] = "",
) -> HistoryJson | Response:
    """Tell what a service served and when, why and on whose word; with ``at``, what it served then.

    ``Accept: application/x-ndjson`` and ``text/csv`` export the entries, all of them unless
    ``limit`` says how many.
    """
    _require_known(name, receiver)
    export = next((kind for kind in _EXPORTS if kind in accept), None)
    if export is None:
        return _history(name, receiver, at, after, min(limit or _PAGE, _LARGEST_PAGE))
    if at is not None:
        raise HTTPException(422, "An export has every entry: leave out `at`, or ask for JSON.")
    entries = receiver.ledger.history.export(name, after=after, limit=limit)
    return StreamingResponse(_EXPORTS[export](entries), media_type=export)


def _history(
    name: str, receiver: Receiver, at: datetime | None, after: int, limit: int
) -> HistoryJson:
    ledger = receiver.ledger
    moment = _in_utc(at) if at else receiver.config.now()
    head = ledger.history.head(name)
    fateful = ledger.history.fate(name)
    path = served(fateful)
    then = served_at(path, moment) if at else None
    entries = _entries(ledger, name, after, limit, then=then, at=at)
    canary, hold = _canary(ledger, name, fateful, moment), held_at(fateful, moment)
    shown = reversed(path) if at is None else [then] if then else []
    return HistoryJson(
        service=name,
        head=HeadJson(**asdict(head)),
        at=moment,
        served=[ServedJson(**asdict(each)) for each in shown],
        canary=canary,
        hold=None if hold is None else HeldThenJson(**asdict(hold)),
        items=[EntryJson(**asdict(entry)) for entry in entries],
        next=entries[-1].number if len(entries) == limit else None,
    )


def _entries(
    ledger: Ledger,
    name: str,
    after: int,
    limit: int,
    *,
    then: Served | None,
    at: datetime | None,
) -> list[Entry]:
    if at is None:
        return ledger.history.entries(name, after=after, limit=limit)
    if then is None or then.promotion is None:
        return []
    return ledger.history.entries(name, after=after, limit=limit, promotion=then.promotion)


def _canary(
    ledger: Ledger, name: str, fateful: list[Entry], moment: datetime
) -> CanaryThenJson | None:
    running = running_at(fateful, moment)
    if running is None:
        return None
    looks = ledger.history.entries(name, kinds=[LOOK], promotion=running)
    canary = canary_at(fateful, looks, moment)
    return None if canary is None else CanaryThenJson(**asdict(canary))


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _require_known(name: str, receiver: Receiver) -> None:
    """Find also what is no longer in laurel.yaml: its history stays."""
    if name not in receiver.config.services and not receiver.ledger.history.head(name).number:
        there = ", ".join(sorted(receiver.config.services)) or "none"
        raise HTTPException(404, f"There is no service of that name; laurel.yaml has {there}.")


def _json_lines(entries: Iterator[Entry]) -> Iterator[str]:
    return map(json_line, entries)


def _csv_lines(entries: Iterator[Entry]) -> Iterator[str]:
    yield csv_header()
    yield from map(csv_line, entries)


_EXPORTS: dict[str, Callable[[Iterator[Entry]], Iterator[str]]] = {
    NDJSON: _json_lines,
    CSV: _csv_lines,
}
