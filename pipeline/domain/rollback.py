"""What a rollback returns to: a rule over a service's promotions, newest first (interfaces §8.9).

A rollback undoes the latest promotion, once. Asked again, it finds that done and goes no deeper:
two people, or a person and the analysis, who press the button together take one step back, not two.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.domain.promotion import Kind, Phase, Promotion
from pipeline.domain.references import Digest, ImageRef, ModelVersion, parse_version

_BACK = re.compile(r"-([1-9][0-9]{0,3})\Z")
_OPEN = frozenset({Phase.PENDING, Phase.RUNNING})


@dataclass(frozen=True, slots=True)
class Stop:
    """An image that the service served, and the promotion that put it there, or told of it.

    ``model.version`` is 0 where no promotion in the ledger made the image.
    """

    image: ImageRef
    model: ModelVersion
    promotion: Promotion


@dataclass(frozen=True, slots=True)
class AlreadyBack:
    """Nothing is left to do: this promotion ended, or is about to end, in what was asked for."""

    promotion: Promotion


@dataclass(frozen=True, slots=True)
class Impossible:
    """The ledger knows of nothing to return to; ``choices`` are the digests that would do."""

    reason: str
    choices: tuple[str, ...]


def go_back(history: Sequence[Promotion], to: str | None = None) -> Stop | AlreadyBack | Impossible:
    """Find what a rollback returns to.

    Parameters
    ----------
    history
        The service's promotions, newest first.
    to
        ``None`` undoes the latest promotion. ``sha256:…`` and a model version name an image that
        the service served; ``-N`` counts back from what serves at 100 %.

    Raises
    ------
    InvalidReferenceError
        Where ``to`` is none of these.

    """
    found = _before_latest(history) if to is None else _named(history, to)
    if found is not None:
        return found
    if to is not None:
        return Impossible("the service never served what was asked for", _choices(history))
    return Impossible(
        "nothing served before the latest promotion: abort it while it runs, "
        "or promote another version",
        _choices(history),
    )


def asked_for(
    history: Sequence[Promotion],
    observed: ImageRef | None,
    *,
    to: str | None = None,
    if_serving: str | None = None,
) -> Stop | AlreadyBack | Impossible:
    """Find what a rollback returns to, as :func:`go_back` does, if that is still what serves.

    ``observed`` is what the service was last seen to serve; where nobody has looked, the ledger
    tells.
    """
    if if_serving is not None:
        now = observed or serving(history)
        if now is None or now.digest != Digest(if_serving):
            what = f"the service serves {now.digest if now else 'nothing'} now"
            return Impossible(what, _choices(history))
    return go_back(history, to)


def serving(history: Sequence[Promotion]) -> ImageRef | None:
    """Tell what serves at 100 %, as far as the ledger knows."""
    path = _path(history)
    return path[-1].image if path else None


def within_reach(history: Sequence[Promotion], count: int) -> tuple[ImageRef, ...]:
    """List the images that a service may return to: the last ``count`` that it served.

    Both those served most recently, and those along the way that ``-N`` counts back, which are
    others where much was rolled back in between.
    """
    recent = list(dict.fromkeys(image for _, image in _images_served(history)))[:count]
    way = [stop.image for stop in _path(history)[-count:]]
    return tuple(dict.fromkeys([*recent, *way]))


def may_return(history: Sequence[Promotion], image: ImageRef) -> bool:
    """Tell whether a service served an image before, and nobody has rolled it back since.

    What a person took away returns as a canary, whoever asks for it (interfaces §8.6).
    """
    for past in history:
        if past.phase is Phase.SUCCEEDED:
            if past.image == image:
                return True
            if past.kind is Kind.ROLLBACK and past.previous_image == image:
                return False
    return False


def _before_latest(history: Sequence[Promotion]) -> Stop | AlreadyBack | None:
    latest = next((each for each in history if _moved_traffic(each)), None)
    if latest is None:
        return None
    if latest.kind is Kind.ROLLBACK or latest.phase not in _OPEN | {Phase.SUCCEEDED}:
        return AlreadyBack(latest)  # what ends badly gives the traffic back by itself
    path = _path(history)
    before = path[:-1] if latest.phase is Phase.SUCCEEDED else path
    return before[-1] if before else None


def _moved_traffic(promotion: Promotion) -> bool:
    """Leave out rollbacks that did not happen, and promotions of what served already."""
    if promotion.phase is Phase.SUCCEEDED:
        return promotion.image not in {None, promotion.previous_image}
    return promotion.kind is Kind.PROMOTION or promotion.phase in _OPEN


def _named(history: Sequence[Promotion], to: str) -> Stop | AlreadyBack | None:
    stop = _find(history, to)
    if stop is None:
        return None
    running = next((each for each in history if each.phase in _OPEN), None)
    if running is None and stop.image == serving(history):
        return AlreadyBack(stop.promotion)
    if running is not None and running.kind is Kind.ROLLBACK and running.target == stop.image:
        return AlreadyBack(running)
    return stop


def _find(history: Sequence[Promotion], to: str) -> Stop | None:
    if back := _BACK.match(to):
        path = _path(history)
        steps = int(back[1]) + 1
        return path[-steps] if steps <= len(path) else None
    served = list(_served(history))
    if ":" in to:
        digest = Digest(to)
        return next((stop for stop in served if stop.image.digest == digest), None)
    version = parse_version(to)
    return next((stop for stop in served if stop.model.version == version), None)


def _choices(history: Sequence[Promotion]) -> tuple[str, ...]:
    now = serving(history)
    digests = (str(stop.image.digest) for stop in _served(history) if stop.image != now)
    return tuple(dict.fromkeys(digests))


def _served(history: Sequence[Promotion]) -> Iterator[Stop]:
    """List every image that was ever served, the latest first."""
    for promotion, image in _images_served(history):
        yield _stop(history, image, promotion)


def _images_served(history: Sequence[Promotion]) -> Iterator[tuple[Promotion, ImageRef]]:
    for promotion in history:
        if promotion.phase is Phase.SUCCEEDED and promotion.image is not None:
            yield promotion, promotion.image
        if promotion.previous_image is not None:
            yield promotion, promotion.previous_image


def _path(history: Sequence[Promotion]) -> list[Stop]:
    """Walk to what serves now: a promotion goes one stop on, a rollback returns along the way."""
    path: list[Stop] = []
    for promotion in reversed(history):
        told = promotion.previous_image
        if told is not None and (not path or path[-1].image != told):
            path.append(_stop(history, told, promotion))
        if promotion.phase is Phase.SUCCEEDED and promotion.image is not None:
            _arrive(path, _stop(history, promotion.image, promotion))
    return path


def _arrive(path: list[Stop], stop: Stop) -> None:
    images = [each.image for each in path]
    if stop.promotion.kind is Kind.ROLLBACK and stop.image in images:
        last = len(images) - 1 - images[::-1].index(stop.image)
        del path[last + 1 :]
    elif not path or path[-1].image != stop.image:
        path.append(stop)


def _stop(history: Sequence[Promotion], image: ImageRef, promotion: Promotion) -> Stop:
    made = next((each.model for each in history if each.image == image), None)
    unknown = ModelVersion(promotion.model.name, 0, promotion.model.workspace)
    return Stop(image, made or unknown, promotion)
