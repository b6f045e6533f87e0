"""``laurel plan``: what a promotion would do. Nothing is pushed, started or moved."""

from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.decide import what
from pipeline.cli.exits import refuse, say
from pipeline.cli.output import Table, print_json, print_table
from pipeline.domain.acceptance import Wanted, meant, promotion_draft
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Trigger, TriggerKind

if TYPE_CHECKING:
    from pipeline.domain.plan import Plan
    from pipeline.forecast import Forecast, World


@click.command()
@click.argument("model", metavar="MODEL@ALIAS|MODEL/VERSION")
@click.option("--service", help="For this service; default: for each that watches the model.")
@click.option("--rebuild", is_flag=True, help="As `laurel promote --rebuild` would.")
@shared
def plan(asked: Asked, model: str, service: str | None, *, rebuild: bool) -> None:
    """Show what a promotion would do, and do none of it.

    Rules, packages, signature, what would be built and how traffic would move, against what
    serves now. Exit code 1 where it would be refused.
    """
    from pipeline import wiring

    settings = asked.settings()
    wanted = Wanted(**what(model), service=service, rebuild=rebuild)
    plans = meant(settings.plans(), wanted)
    if isinstance(plans, Refused):
        refuse(plans.reason)
    world = wiring.build_world(settings)
    found = [_foreseen(each, wanted, world) for each in plans]
    if asked.json:
        print_json({"items": [_json(each) for each in found]})
    else:
        for each in found:
            _show(each)
    refused = [rule.why for each in found for rule in each.rules if not rule.met]
    if refused:
        refuse(refused[0])


def _foreseen(of: "Plan", wanted: Wanted, world: "World") -> "Forecast":
    from pipeline.at_once import AtOnce
    from pipeline.forecast import foresee
    from pipeline.ledger import new_id

    trigger = Trigger(TriggerKind.CLI, "laurel plan", world.clock.now())
    draft = promotion_draft(of, wanted, promotion=new_id(), trigger=trigger)
    return foresee(AtOnce(draft, world.clock, lambda step: say(f"{of.service}: {step}")), world)


def _show(found: "Forecast") -> None:
    about = [
        ("service", found.service),
        ("would serve", found.model),
        ("serves now", found.serves),
        ("run", found.run_id),
        ("image", found.image or (found.model and "made anew")),
        ("runtime", found.lock and found.lock.runtime),
        ("lock", found.lock and found.lock.digest.value),
        ("would be", "refused" if found.refused else "promoted"),
    ]
    print_table(Table(("what", "is"), about))
    tables = (
        Table(("rule", "verdict", "why"), [(r.name, _met(r.met), r.why) for r in found.rules]),
        Table((f"packages, against {found.packages_of}",), [(line,) for line in found.packages]),
        Table(
            (f"signature, against {found.signature_of}", "callers"),
            [(c.what, "break" if c.breaking else "go on") for c in found.signature],
        ),
        Table(
            ("part", "to the registry", "bytes", "what"),
            [(p.name, "goes" if p.moves else "is there", p.size, p.why) for p in found.parts],
        ),
        Table(("traffic",), [(step,) for step in found.traffic]),
        Table(("waits for",), [(each,) for each in found.waits]),
    )
    for table in tables:
        if table.rows:
            click.echo()
            print_table(table)


def _met(met: bool) -> str:  # noqa: FBT001 - the one thing it is about
    return "pass" if met else "fail"


def _json(found: "Forecast") -> dict[str, Any]:
    model, lock = found.model, found.lock
    return {
        "service": found.service,
        "refused": found.refused,
        "model": model and {"name": model.name, "version": model.version, "run_id": found.run_id},
        "serves": found.serves,
        "image": found.image and str(found.image),
        "rules": [{"rule": r.name, "verdict": _met(r.met), "why": r.why} for r in found.rules],
        "lock": lock
        and {
            "digest": lock.digest.value,
            "runtime": lock.runtime,
            "against": found.packages_of,
            "packages": list(found.packages),
        },
        "signature": {
            "against": found.signature_of,
            "changes": [{"what": c.what, "breaking": c.breaking} for c in found.signature],
        },
        "parts": [
            {"name": p.name, "moves": p.moves, "size": p.size, "what": p.why} for p in found.parts
        ],
        "traffic": list(found.traffic),
        "waits": list(found.waits),
    }
