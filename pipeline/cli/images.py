"""Images without traffic: build one, look into one, copy one. No server is needed."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.decide import what
from pipeline.cli.exits import refuse, say
from pipeline.cli.output import Table, print_json, show
from pipeline.domain.acceptance import Wanted, meant, promotion_draft
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Trigger, TriggerKind
from pipeline.domain.references import ImageRef

if TYPE_CHECKING:
    from pipeline.domain.evidence import VerifiedImage
    from pipeline.domain.plan import Plan
    from pipeline.inspection import Inspected
    from pipeline.tools import Tools

_image = click.argument("image", metavar="REPOSITORY@sha256:...")


@click.command()
@click.argument("model", metavar="MODEL/VERSION|MODEL@ALIAS")
@click.option(
    "--service", help="As this service wants it; default: as each that watches the model."
)
@click.option("--rebuild", is_flag=True, help="Make a new image: newer base, new lock.")
@shared
def build(asked: Asked, model: str, service: str | None, *, rebuild: bool) -> None:
    """Make a version's image, ready to be promoted.

    Built or recalled, signed and verified, on this machine; its digest is printed, no traffic
    moves.
    """
    from pipeline import wiring

    settings = asked.settings()
    wanted = Wanted(**what(model), service=service, rebuild=rebuild)
    # whichever alias it watches: an image may well be made before its version is promoted
    plans = meant(settings.plans(), replace(wanted, alias=None))
    if isinstance(plans, Refused):
        refuse(plans.reason)
    tools = wiring.build_tools(settings)
    made = {plan.service: _build(plan, wanted, tools) for plan in plans}
    if asked.json:
        items = [_made_json(name, image) for name, image in made.items()]
        print_json(items[0] if len(items) == 1 else {"items": items})
    else:
        click.echo("\n".join(dict.fromkeys(image.ref.digest.value for image in made.values())))


@click.command()
@_image
@shared
def inspect(asked: Asked, image: str) -> None:
    """Show what an image says is inside it.

    Layers, configuration and what is attached; `laurel verify` tells whether to trust it.
    """
    from pipeline import inspection, wiring

    found = inspection.inspect(ImageRef.parse(image), registry=wiring.open_images(asked.settings()))
    result = _inspected_json(found)
    about = [(name.replace("_", " "), said) for name, said in result.items() if _one(said)]
    layers = [tuple(layer.values()) for layer in result["layers"]]
    attached = [tuple(each.values()) for each in result["referrers"]]
    show(
        result,
        Table(("what", "is"), about),
        Table(("layer", "bytes", "media type", "diff id"), layers),
        Table(("referrer", "bytes", "artifact type", "predicate type"), attached),
        as_json=asked.json,
    )


@click.command()
@_image
@click.argument("repository")
@shared
def copy(asked: Asked, image: str, repository: str) -> None:
    """Copy an image, its signatures with it.

    Its digest stays, and all that is attached comes along. Blobs are mounted where both
    repositories are on one host, else streamed. The copy's name is printed.
    """
    from pipeline import wiring
    from pipeline.domain.references import require_repository
    from pipeline.transfer import copy_image

    settings = asked.settings()
    target = settings.registry.repository(require_repository(repository))
    copied = copy_image(ImageRef.parse(image), target, registry=wiring.open_images(settings))
    if asked.json:
        print_json({"image": str(copied), "copied_from": image})
    else:
        click.echo(copied)


def _build(plan: "Plan", wanted: Wanted, tools: "Tools") -> "VerifiedImage":
    from pipeline.at_once import AtOnce
    from pipeline.ledger import new_id
    from pipeline.promote import STEPS, prepare
    from pipeline.run import Ended

    does = dict(STEPS)

    def tell(step: str) -> None:
        say(f"{plan.service}: {step}" + (f": {does[step]}" if step in does else ""))

    trigger = Trigger(TriggerKind.CLI, "laurel build", tools.clock.now())
    draft = promotion_draft(plan, wanted, promotion=new_id(), trigger=trigger)
    try:
        image = prepare(AtOnce(draft, tools.clock, tell), tools)
    except Ended as ended:
        refuse(ended.reason)
    say(f"{plan.service}: {image.model} is {image.ref}")
    return image


def _made_json(service: str, image: "VerifiedImage") -> dict[str, Any]:
    return {
        "service": service,
        "model": {"name": image.model.name, "version": image.model.version},
        "image": str(image.ref),
        "digest": image.ref.digest.value,
        "runtime": image.runtime,
        "artifact_digest": image.artifact_digest.value,
        "lock_digest": image.lock_digest.value,
        "base_digest": image.base_digest.value,
        "key_id": image.key_id,
    }


def _inspected_json(found: "Inspected") -> dict[str, Any]:
    said, config = found.labels, found.config
    return {
        "image": str(found.image),
        "model": said.get("dev.laurel.model.name"),
        "version": said.get("dev.laurel.model.version"),
        "run": said.get("dev.laurel.model.run_id"),
        "source": said.get("org.opencontainers.image.source"),
        "runtime": said.get("dev.laurel.runtime"),
        "artifact_digest": said.get("dev.laurel.artifact.digest"),
        "lock_digest": said.get("dev.laurel.lock.digest"),
        "base": said.get("org.opencontainers.image.base.name"),
        "base_digest": said.get("org.opencontainers.image.base.digest"),
        "platform": f"linux/{config.architecture}",
        "user": config.user,
        "entrypoint": " ".join(config.entrypoint),
        "size": sum(layer.descriptor.size for layer in found.layers),
        "config": found.manifest.config.digest.value,
        "env": config.env,
        "labels": said,
        "layers": [
            {
                "digest": layer.descriptor.digest.value,
                "size": layer.descriptor.size,
                "media_type": layer.descriptor.media_type,
                "diff_id": layer.diff_id.value,
            }
            for layer in found.layers
        ],
        "referrers": [
            {
                "digest": each.digest.value,
                "size": each.size,
                "artifact_type": each.artifact_type,
                "predicate_type": each.predicate_type,
            }
            for each in found.attached
        ],
    }


def _one(said: object) -> bool:
    return not isinstance(said, dict | list)
