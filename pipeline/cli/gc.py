"""``laurel gc``: what nothing needs any more is told, and goes where a person says so."""

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import Exit, leave, say
from pipeline.cli.output import Table, show
from pipeline.errors import LaurelError

if TYPE_CHECKING:
    from pipeline.collection.survey import Survey
    from pipeline.domain.retention import Judged
    from pipeline.ports import ImageRegistry
    from pipeline.settings import Settings


@click.command("gc")
@click.option("--apply", "apply_", is_flag=True, help="Remove what may go; without it, only tell.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    help="How many images each service may go back by; default: history.keep of the settings.",
)
@shared
def gc(asked: Asked, keep: int | None, *, apply_: bool) -> None:
    """Tell, and with --apply remove, images that nothing needs.

    Kept is what serves, what a promotion that has not ended works with, what may be gone back to or
    retried, what a hold refers to, what is younger than a day, and all that is not surely Laurel's.
    What cannot be read keeps everything that it speaks for; the exit code is then 1.
    """
    from pipeline import wiring

    settings = asked.settings()
    if keep is not None:
        history = settings.history.model_copy(update={"keep": keep})
        settings = settings.model_copy(update={"history": history})
    with closing(wiring.open_ledger(settings)) as ledger:
        survey = wiring.build_survey(settings, ledger)
        judged, unread = survey.judged()
        images = [_image_json(each) for each in judged]
        if apply_:
            unread |= _remove(judged, images, survey, wiring.open_images(settings))
    result: dict[str, Any] = {"applied": apply_, "items": images, "unread": unread}
    if apply_:
        result |= _tidy(settings)
    rows = [(each["image"], each["model"], each["verdict"], each["why"]) for each in images]
    show(result, Table(("image", "model version", "verdict", "why"), rows), as_json=asked.json)
    _say(images, unread, applied=apply_)
    if unread:
        leave(Exit.REFUSED)


def _remove(
    judged: "list[Judged]",
    images: list[dict[str, Any]],
    survey: "Survey",
    registry: "ImageRegistry",
) -> dict[str, str]:
    """Remove what goes, each looked at once more; return the repositories where that failed."""
    from pipeline.collection.remove import remove_image

    failed: dict[str, str] = {}
    for each, image in zip(judged, images, strict=True):
        ref = each.image.ref
        if not each.goes or ref.repository in failed:
            continue
        try:
            again = survey.still_goes(each.image)
            if again.goes:
                remove_image(ref, registry=registry)
                image["verdict"] = "removed"
            else:
                image |= {"verdict": "stays", "why": again.why}
        except LaurelError as error:
            failed[ref.repository] = str(error)
    return failed


def _tidy(settings: "Settings") -> dict[str, Any]:
    """Give back what an image layout and the local caches take without need."""
    from pipeline import wiring

    layout = wiring.open_layout(settings)
    told: dict[str, Any] = {}
    if layout is not None:
        swept = layout.sweep()
        told["swept"] = {"blobs": swept.blobs, "bytes": swept.size}
        say(f"the image layout: {swept.blobs} blobs of {swept.size} bytes removed")
    tidied = wiring.cache_limit(settings).tidy()
    told["cache"] = {"bytes": tidied.after, "removed": tidied.freed}
    say(f"the local caches: {tidied.freed} of {tidied.before} bytes removed")
    return told


def _image_json(judged: "Judged") -> dict[str, Any]:
    image = judged.image
    return {
        "image": str(image.ref),
        "model": None if image.model is None else str(image.model),
        "verdict": "goes" if judged.goes else "stays",
        "why": judged.why,
    }


def _say(images: list[dict[str, Any]], unread: dict[str, str], *, applied: bool) -> None:
    for repository, why in unread.items():
        say(f"{repository}: nothing is removed: {why}")
    going = sum(each["verdict"] == "goes" for each in images)
    if going and not applied:
        say(f"{going} of {len(images)} images may go: `laurel gc --apply` removes them")
