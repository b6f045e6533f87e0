"""What the demo says of Laurel, each claim decided by what was seen and by nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.demo.installation import CANARY, SERVICE
from pipeline.demo.observed import Observed

Seen = tuple[bool, str]
"""Whether a claim was seen to be true, and what was seen."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence, whether it was seen to be true, and what was seen."""

    text: str
    holds: bool
    seen: str


def claims(observed: Observed) -> tuple[Claim, ...]:
    """Judge every claim; one whose chapter was not reached does not hold."""
    return tuple(
        Claim(text, *judge(observed))
        if len(observed.chapters) >= needed
        else Claim(text, holds=False, seen="not reached")
        for needed, text, judge in _CLAIMS
    )


def _first_deploy(observed: Observed) -> Seen:
    first = observed.chapters[0]
    held = (
        first.promotion["phase"] == "succeeded"
        and not first.percents
        and _alone(observed, 0)
        and not first.after.failed
    )
    return held, f"{first.after.requests} answers, {first.after.failed} failed"


def _good_canary(observed: Observed) -> Seen:
    first, good = observed.chapters[:2]
    looks = [look for look in good.promotion["canary"] if look["percent"]]
    passed = [look["percent"] for look in looks if look["verdict"] == "pass"]
    canary = good.during.by_revision.get(good.serving, 0)
    held = (
        good.promotion["phase"] == "succeeded"
        and tuple(passed) == CANARY.steps
        and good.serving != first.serving
        and canary > 0
        and _alone(observed, 1)
    )
    return held, f"{canary} of {good.during.requests} answers were the canary's, then all"


def _nothing_failed(observed: Observed) -> Seen:
    good = observed.chapters[1]
    requests = good.during.requests + good.after.requests
    failed = good.during.failed + good.after.failed
    return requests > 0 and not failed, f"{failed} of {requests}, p99 {good.during.p99_ms:g} ms"


def _bad_canary(observed: Observed) -> Seen:
    good, bad = observed.chapters[1:3]
    stable = good.serving
    canary = sum(n for name, n in bad.during.by_revision.items() if name != stable)
    failed = sum(n for name, n in bad.during.failed_by_revision.items() if name != stable)
    smoked = any(s["name"] == "smoke" and s["phase"] == "succeeded" for s in bad.promotion["steps"])
    judged = [look["verdict"] for look in bad.promotion["canary"]][-1:] == ["fail"]
    held = bad.promotion["phase"] == "failed" and smoked and judged and failed > 0
    return held, f"{failed} of its {canary} requests failed at {bad.percents} %"


def _went_back(observed: Observed) -> Seen:
    good, bad = observed.chapters[1:3]
    held = bad.serving == good.serving and _alone(observed, 2) and not bad.after.failed
    answers = bad.after.by_revision.get(good.serving, 0)
    return held, f"{answers} of the next {bad.after.requests} answers, {bad.after.failed} failed"


def _rolled_back(observed: Observed) -> Seen:
    first, back = observed.chapters[0], observed.chapters[3]
    held = (
        back.promotion["phase"] == "succeeded"
        and back.promotion["kind"] == "rollback"
        and first.image is not None
        and back.image == first.image == (back.service["stable"] or {}).get("image")
        and back.service["hold"] is not None
        and _alone(observed, 3)
        and not back.during.failed + back.after.failed
    )
    return held, f"{back.seconds:g} s, {back.during.failed + back.after.failed} failed, hold set"


def _by_webhook(observed: Observed) -> Seen:
    kinds = [chapter.promotion["trigger"]["kind"] for chapter in observed.chapters[:3]]
    return kinds == ["webhook"] * 3, ", ".join(kinds)


def _verified(observed: Observed) -> Seen:
    images = {chapter.image for chapter in observed.chapters}
    verified = {image for image in images if image and observed.verified.get(image)}
    return verified == images, f"laurel verify: {len(verified)} of {len(images)} images"


def _tagged(observed: Observed) -> Seen:
    latest = {chapter.version: chapter.promotion for chapter in observed.chapters}
    serving = observed.chapters[-1].version
    right = [
        version
        for version, promotion in latest.items()
        if (tags := observed.tags.get(version, {}))
        and tags.get(f"laurel.{SERVICE}.phase") == promotion["phase"]
        and tags.get(f"laurel.{SERVICE}.serving") == str(version == serving).lower()
    ]
    return len(right) == len(latest), f"tags on {len(right)} of {len(latest)} versions"


def _alone(observed: Observed, number: int) -> bool:
    """Tell whether after a chapter only the revision answered that Laurel calls stable."""
    chapter = observed.chapters[number]
    return chapter.serving is not None and chapter.after.only(chapter.serving)


_CLAIMS: tuple[tuple[int, str, Callable[[Observed], Seen]], ...] = (
    (1, "version 1 was deployed, straight to 100 %", _first_deploy),
    (2, f"version 2 rose over {CANARY.steps} to 100 % of real traffic", _good_canary),
    (2, "not one request failed meanwhile", _nothing_failed),
    (3, "version 3 passed its smoke test and was caught in its canary", _bad_canary),
    (3, "the traffic went back to version 2 by itself", _went_back),
    (4, "a rollback by hand returned to version 1's digest", _rolled_back),
    (3, "MLflow's own webhooks started all three", _by_webhook),
    (4, "every image is signed, and verifies", _verified),
    (4, "MLflow shows on each version what became of it", _tagged),
)
"""How many chapters each claim is about, its sentence, and who judges."""
