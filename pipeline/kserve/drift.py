"""What somebody changed by hand: the image and the percent against what Laurel wrote there last."""

from pipeline.errors import DriftedError
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.pods import one_line

_NEXT = "promote again, or let the service's drift setting heal or adopt it"


def drift(now: InferenceService) -> str:
    """Say what was changed by hand since, and what to do; ``""`` where nothing was."""
    if not now.ours:
        return ""
    changed = image_changed(now) or percent_changed(now)
    return f"{changed}: {_NEXT}" if changed else ""


def image_changed(now: InferenceService) -> str:
    """Say that another image stands there than stable's and the canary's; ``""`` if not."""
    known = {now.digest, now.canary} - {""}
    if not known or now.image in known or _before_adoption(now):
        return ""
    image = one_line(now.image) or "none"
    return f"the image of {now.name} was set to {image} by hand{_by(now, 'containers')}"


def percent_changed(now: InferenceService) -> str:
    """Say that another percent stands there than Laurel gave; ``""`` if not."""
    if now.percent == now.given:
        return ""
    laurel = "none" if now.given is None else f"{now.given} %"
    there = "removed" if now.percent is None else f"set to {now.percent} %"
    who = _by(now, "canaryTrafficPercent")
    return f"the canary's percent of {now.name} was {there} by hand{who}, Laurel gave {laurel}"


def undisturbed(now: InferenceService, image: str) -> None:
    """Raise where this promotion's canary is not what the service asks for any more."""
    if now.image != image:
        what = image_changed(now) or f"{now.name} asks for {one_line(now.image) or 'no image'} now"
    else:
        what = percent_changed(now)
    if what:
        raise DriftedError(
            "go on with the canary", f"InferenceService {now.name}", f"{what}; promote again"
        )


def _before_adoption(now: InferenceService) -> bool:
    return not now.digest and now.percent is None


def _by(now: InferenceService, field: str) -> str:
    writer = now.writer("spec", "predictor", field)
    return f" ({writer})" if writer else ""
