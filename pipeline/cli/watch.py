"""``laurel watch``: a promotion as it happens, one line for each thing, until it ends."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import leave_by_phases, say
from pipeline.cli.output import plain
from pipeline.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pipeline.cli.client import Client

_Json = dict[str, Any]
_EVERY = 0.5
_FORM = "text/event-stream"
_LONGEST = 1 << 24  # characters of one event


@click.command()
@click.argument("promotion", metavar="[ID]", required=False)
@shared
def watch(asked: Asked, promotion: str | None) -> None:
    """Show a promotion step by step as it happens, until it ends.

    Without ID the newest one, or the next to begin. The exit code tells how it ended.
    """
    with asked.client() as client:
        ended: _Json = {}
        for kind, content in _story(client, promotion or _newest(client)):
            if kind == "promotion":
                ended = content
            elif asked.json:
                click.echo(json.dumps(content, ensure_ascii=False))
            if not asked.json:
                _tell(kind, content)
    leave_by_phases([ended])


def frames(pieces: Iterable[bytes]) -> Iterator[tuple[str, _Json]]:
    """Read server-sent events: each one's name and its data, which is JSON."""
    text = ""
    for piece in pieces:
        text += piece.decode()
        *whole, text = text.split("\n\n")
        for frame in whole:
            said = dict(line.partition(": ")[::2] for line in frame.split("\n"))
            if "data" in said:
                yield said.get("event", "message"), json.loads(said["data"])
        if len(text) > _LONGEST:
            raise UnavailableError("read an event", "the server", "it does not end; try again")


def line_of(kind: str, content: Mapping[str, Any]) -> str:
    """Say in one line what happened; ``""`` where it is told otherwise."""
    if kind == "promotion":
        return _standing(content)
    data = content["data"]
    if kind in _LINES:
        return _LINES[kind](data)
    why = data.get("why") or data.get("warning") or data.get("reason")
    return kind.replace("_", " ") + _because(why)


def _step_ended(data: Mapping[str, Any]) -> str:
    return f"{data['name']} {data['phase']}{_because(data['evidence'].get('reason'))}"


def _look(data: Mapping[str, Any]) -> str:
    canary, stable = (data["samples"].get(arm, 0) for arm in ("canary", "stable"))
    return f"{data['percent']} %: {data['verdict']}, {canary} requests, {stable} of stable"


def _because(why: object) -> str:
    return f": {why}" if why else ""


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "accepted": lambda _: "",  # as is the end: what follows says how the promotion stands
    "ended": lambda _: "",
    "step_started": lambda data: f"{data['name']} begins",
    "step_ended": _step_ended,
    "look": _look,
    "controlled": lambda data: f"{data['control']} by {data['actor']}: {data['reason']}",
}


def _standing(promotion: Mapping[str, Any]) -> str:
    who = f"{promotion['service']} {promotion['kind']} {promotion['id']} {promotion['phase']}"
    if promotion["waiting"]:
        return f"{who}, waiting for {promotion['waiting']['for']}"
    return who + (f": {promotion['reason']}" if promotion["ended_at"] else "")


def _tell(kind: str, content: Mapping[str, Any]) -> None:
    line = line_of(kind, content)
    if line:
        at = datetime.fromisoformat(content["at"]).astimezone() if "at" in content else None
        click.echo(plain(f"{at:%H:%M:%S}  {line}" if at else f"          {line}"))


def _story(client: "Client", promotion: str) -> Iterator[tuple[str, _Json]]:
    """Follow a promotion to its end; a server that goes away meanwhile is waited for."""
    seen, away = 0, False
    while True:
        try:
            for kind, content in frames(
                client.stream("promotions", promotion, "events", accept=_FORM, after=seen)
            ):
                away = False
                seen = content["id"] if kind != "promotion" else seen
                yield kind, content
                if kind == "promotion" and content["ended_at"]:
                    return
        except (ConfigurationError, UnavailableError):
            if not seen and not away:
                client.read("promotions", promotion)  # it never answered: that is the answer
            if not away:
                say(f"{client.server} does not answer; waiting for it")
            away = True
        time.sleep(_EVERY)


def _newest(client: "Client") -> str:
    """Name the newest promotion that has not ended; where there is none, wait for one."""
    waiting = False
    while True:
        items = client.read("promotions", limit=20)["items"]
        going = [each["id"] for each in items if not each["ended_at"]]
        if going:
            return str(going[0])
        if not waiting:
            say("nothing is promoted now; waiting for what begins next")
            waiting = True
        time.sleep(_EVERY)
