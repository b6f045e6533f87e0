"""A person's decisions: promote, rollback, abort, retry, hold, release. All go over HTTP."""

from pathlib import Path
from typing import Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import leave_by_phases, refuse, say
from pipeline.cli.follow import follow
from pipeline.cli.output import show
from pipeline.cli.summary import tell_promotions, tell_refusal
from pipeline.cli.tables import promotions_table, service_table
from pipeline.domain.evidence import Refused
from pipeline.domain.references import parse_version
from pipeline.errors import InvalidReferenceError

_reason = click.option("--reason", default="", help="One sentence for those who read the history.")
_wait = click.option(
    "--wait", is_flag=True, help="Follow it to its end; the exit code tells which."
)

_summary = click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file to which how it went is added as Markdown: $GITHUB_STEP_SUMMARY.",
)


@click.command()
@click.argument("model", metavar="MODEL@ALIAS|MODEL/VERSION", required=False)
@click.option("--service", help="Only this service; default: every one that watches the model.")
@click.option(
    "--image", metavar="DIGEST", help="In place of a version: what `laurel build` printed."
)
@_reason
@click.option("--rebuild", is_flag=True, help="Make a new image: newer base, new lock.")
@_wait
@_summary
@shared
def promote(  # noqa: PLR0913 - one for each option
    asked: Asked,
    model: str | None,
    service: str | None,
    image: str | None,
    reason: str,
    *,
    rebuild: bool,
    wait: bool,
    summary: Path | None,
) -> None:
    """Promote a model version by hand, as an alias move does.

    A version that the alias does not name sets a hold, and says so.
    """
    if (model is None) == (image is None):
        raise click.UsageError("Name a model version, or an --image and its --service.")
    named = {"image": image} if model is None else what(model)
    body = named | {"reason": reason, "rebuild": rebuild}
    if service is not None:
        body["service"] = service
    _start(asked, "promotions", body=body, wait=wait, summary=summary)


@click.command()
@click.argument("service")
@click.option(
    "--to", metavar="DIGEST|VERSION|-N", help="What to return to; default: what served before."
)
@click.option(
    "--move-alias/--keep-alias",
    default=None,
    help="Whether the alias moves in MLflow, too; default: rollback.move_alias.",
)
@_reason
@_wait
@_summary
@shared
def rollback(
    asked: Asked,
    service: str,
    to: str | None,
    reason: str,
    *,
    move_alias: bool | None,
    wait: bool,
    summary: Path | None,
) -> None:
    """Return a service to what it served before, and hold it there.

    Nothing is built or analysed again; the image is verified.
    """
    said = {"reason": reason, "to": to, "move_alias": move_alias}
    body = {name: value for name, value in said.items() if value is not None}
    path = ("services", service, "rollback")
    _start(asked, *path, body=body, wait=wait, summary=summary)


@click.command()
@click.argument("promotion", metavar="ID")
@_wait
@shared
def retry(asked: Asked, promotion: str, *, wait: bool) -> None:
    """Start a promotion that ended badly anew; finished work is kept."""
    _start(asked, "promotions", promotion, "retry", body=None, wait=wait)


@click.command()
@click.argument("promotion", metavar="ID")
@_reason
@shared
def abort(asked: Asked, promotion: str, reason: str) -> None:
    """Stop a promotion: stable takes all traffic back first."""
    with asked.client() as client:
        answer = client.change("POST", "promotions", promotion, "abort", body={"reason": reason})
    _show_promotions(asked, [_granted(answer)])
    say(f"asked to stop; `laurel status {promotion}` tells when it has")


@click.command()
@click.argument("service")
@_reason
@shared
def hold(asked: Asked, service: str, reason: str) -> None:
    """Keep automation from changing a service.

    It ends by itself when the alias names another version than now.
    """
    with asked.client() as client:
        answer = client.change("PUT", "services", service, "hold", body={"reason": reason})
    now = _granted(answer)
    show(now, service_table(now), as_json=asked.json)


@click.command()
@click.argument("service")
@_reason
@shared
def release(asked: Asked, service: str, reason: str) -> None:
    """Let automation act on a service again.

    Its alias is compared anew with what was last attempted.
    """
    with asked.client() as client:
        answer = client.change("DELETE", "services", service, "hold", reason=reason or None)
    now = _granted(answer)
    show(now, service_table(now), as_json=asked.json)


def what(text: str) -> dict[str, Any]:
    """Read ``MODEL@ALIAS`` or ``MODEL/VERSION``; a model's name may hold either sign.

    Raises
    ------
    InvalidReferenceError
        Where it is neither.

    """
    at, slash = text.rfind("@"), text.rfind("/")
    model, name = text[: max(at, slash, 0)], text[max(at, slash) + 1 :]
    if not model or not name:
        raise InvalidReferenceError(
            f"{text[:200]!r} names no model version: write MODEL@ALIAS or MODEL/VERSION"
        )
    if at > slash:
        return {"model": model, "alias": name}
    return {"model": model, "version": parse_version(name)}


def _start(
    asked: Asked,
    *path: str,
    body: dict[str, Any] | None,
    wait: bool,
    summary: Path | None = None,
) -> None:
    with asked.client() as client:
        answer = client.change("POST", *path, body=body)
        if isinstance(answer, Refused) and summary is not None:
            tell_refusal(summary, answer.reason)
        answer = _granted(answer)
        promotions = answer.get("items", [answer])
        done = all(promotion["ended_at"] for promotion in promotions)
        if wait and not done:
            promotions = [follow(client, promotion["id"]) for promotion in promotions]
    if summary is not None:
        tell_promotions(summary, promotions)
    _show_promotions(asked, promotions)
    if done:
        say("that is done already, by the promotion above; nothing moves")
    elif wait:
        leave_by_phases(promotions)


def _granted(answer: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(answer, Refused):
        refuse(answer.reason)
    return answer


def _show_promotions(asked: Asked, promotions: list[dict[str, Any]]) -> None:
    result = promotions[0] if len(promotions) == 1 else {"items": promotions, "next": None}
    show(result, promotions_table(promotions), as_json=asked.json)
