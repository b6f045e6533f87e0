"""An event as a notice: what happened, in one sentence, who asked, from what to what, and where.

What others wrote, a person's reason or a model's last words, is cut to a length and can neither
obey a terminal nor call everyone in a chat room.
"""

import re
import secrets
from datetime import datetime

from pipeline.domain.chain import Entry
from pipeline.domain.notice import About, Notice, Topic, Urgency
from pipeline.domain.promotion import Kind, Phase, Promotion
from pipeline.domain.references import ImageRef, ModelVersion
from pipeline.ledger import stamp
from pipeline.ledger.story import ENDED
from pipeline.logs import printable

_LONGEST = 1000
_EVERYONE = re.compile(r"@(?=(?:all|channel|everyone|here)\b)", re.IGNORECASE)
_BAD = {Phase.FAILED, Phase.ERRORED}
_PROMOTION = {
    Phase.SUCCEEDED: "{model} was promoted",
    Phase.FAILED: "{model} was not promoted",
    Phase.ERRORED: "the promotion of {model} broke off, a person must look",
    Phase.ABORTED: "the promotion of {model} was aborted",
    Phase.SUPERSEDED: "the promotion of {model} was superseded",
}
_ROLLBACK = {
    Phase.SUCCEEDED: "rolled back to {model}",
    Phase.FAILED: "THE ROLLBACK to {model} was refused",
    Phase.ERRORED: "THE ROLLBACK to {model} broke off, a person must look",
    Phase.ABORTED: "the rollback to {model} was aborted",
    Phase.SUPERSEDED: "the rollback to {model} was superseded",
}
_AUTOMATIC = "AUTOMATIC ROLLBACK of {model}"
_OTHERS = {
    Topic.HELD: ("service.held", "held by {actor}"),
    Topic.RELEASED: ("service.released", "released by {actor}"),
    Topic.DRIFT: ("service.drift", "changed by hand"),
    Topic.APPROVAL: ("promotion.approval", "{model} waits for approval"),
    Topic.ATTENTION: ("promotion.attention", "{model} needs attention"),
}
_ENDS = {
    Phase.SUCCEEDED: Urgency.SUCCESS,
    Phase.ABORTED: Urgency.WARNING,
    Phase.SUPERSEDED: Urgency.INFO,
}


def notice_of(
    entry: Entry, topics: tuple[Topic, ...], promotion: Promotion | None, url: str
) -> Notice:
    """Write an event down for people; ``url`` is where they reach this Laurel."""
    what, title, urgency = _end(entry, topics) if entry.kind == ENDED else _other(topics[0])
    model = "" if promotion is None else named(promotion.model)
    said = title.format(model=model, actor=entry.data.get("actor"))
    place = f"services/{entry.service}" if promotion is None else f"promotions/{promotion.id}"
    return Notice(
        id=entry.hash,
        type=what,
        service=entry.service,
        at=entry.at,
        title=plain(f"{entry.service}: {said}"),
        sentence=plain(entry.data.get("reason") or said),
        urgency=urgency,
        topics=topics,
        link=f"{url.rstrip('/')}/{place}",
        about=None if promotion is None else _about(promotion),
    )


def body_of(notice: Notice) -> str:
    """Write a notice as the lines that people read below its title."""
    lines = [notice.sentence]
    if (about := notice.about) is not None:
        lines.append(plain(f"asked for by {about.asked.actor} ({about.asked.kind})"))
        if about.image is not None or about.previous_image is not None:
            lines.append(f"from {_digest(about.previous_image)} to {_digest(about.image)}")
    return "\n".join([*lines, notice.link])


def trial(at: datetime, url: str) -> Notice:
    """Write the notice by which a channel is tried: nothing has happened."""
    return Notice(
        id=f"trial-{secrets.token_hex(16)}",
        type="trial",
        service="laurel",
        at=stamp(at),
        title="laurel: this is a trial",
        sentence="This channel works. Nothing has happened.",
        urgency=Urgency.INFO,
        topics=(),
        link=url,
    )


def named(model: ModelVersion) -> str:
    """Name a version; the model alone where nobody knows which version yet."""
    return str(model) if model.version else model.name


def plain(text: str) -> str:
    """Write one line of a bounded length that does nothing but be read."""
    line = " ".join(printable(text).split())
    cut = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    return _EVERYONE.sub("@\N{ZERO WIDTH SPACE}", cut)


def _end(entry: Entry, topics: tuple[Topic, ...]) -> tuple[str, str, Urgency]:
    kind, phase = Kind(entry.data["kind"]), Phase(entry.data["phase"])
    what = f"{kind}.{phase}"
    if kind is Kind.ROLLBACK:
        warned = Urgency.WARNING if phase is Phase.SUCCEEDED else _ENDS.get(phase, Urgency.FAILURE)
        return what, _ROLLBACK[phase], warned
    if phase in _BAD and Topic.ROLLED_BACK in topics:
        return what, _AUTOMATIC, Urgency.FAILURE
    return what, _PROMOTION[phase], _ENDS.get(phase, Urgency.FAILURE)


def _other(topic: Topic) -> tuple[str, str, Urgency]:
    urgency = Urgency.INFO if topic is Topic.RELEASED else Urgency.WARNING
    return *_OTHERS[topic], urgency


def _about(promotion: Promotion) -> About:
    return About(
        promotion=promotion.id,
        kind=promotion.kind.value,
        phase=promotion.phase.value,
        model=promotion.model,
        asked=promotion.trigger,
        image=promotion.image,
        previous_image=promotion.previous_image,
    )


def _digest(image: ImageRef | None) -> str:
    return "nothing" if image is None else str(image.digest)
