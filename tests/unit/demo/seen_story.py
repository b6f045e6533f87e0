"""A demo that went well, as values; tests change one thing and look what may still be said."""

from dataclasses import replace
from typing import Any

from pipeline.demo.data_scientist import Version
from pipeline.demo.observed import Chapter, Observed
from pipeline.demo.traffic import Answer, Seen

IMAGES = {version: f"fraud-scorer@sha256:{str(version) * 64}" for version in (1, 2, 3)}
REVISIONS = {version: f"fraud-0000{version}" for version in (1, 2, 3)}


def seen(*answers: tuple[int, str, int]) -> Seen:
    """Count ``(how many, from which revision, with which status)``."""
    return Seen.of(
        [
            Answer(0.0, 0.01, status, revision)
            for count, revision, status in answers
            for _ in range(count)
        ]
    )


def chapter(
    title: str,
    version: int,
    *,
    serves: int,
    looks: tuple[tuple[int, str], ...] = (),
    phase: str = "succeeded",
    kind: str = "promotion",
    during: Seen | None = None,
) -> Chapter:
    """Write one chapter as the API would tell it."""
    promotion: dict[str, Any] = {
        "id": f"id of {title}",
        "phase": phase,
        "kind": kind,
        "reason": "because",
        "image": IMAGES[version],
        "target": None,
        "trigger": {"kind": "webhook" if kind == "promotion" else "rollback"},
        "steps": [{"name": "smoke", "phase": "succeeded"}],
        "canary": [{"percent": percent, "verdict": verdict} for percent, verdict in looks],
    }
    service: dict[str, Any] = {
        "stable": {"revision": REVISIONS[serves], "image": IMAGES[serves]},
        "hold": {"actor": "operator"} if kind == "rollback" else None,
    }
    after = seen((80, REVISIONS[serves], 200))
    return Chapter(title, version, promotion, service, during or seen(), after, 9.5)


FIRST = chapter("first deploy", 1, serves=1)
GOOD = chapter(
    "good canary",
    2,
    serves=2,
    looks=((10, "pass"), (25, "pass"), (50, "pass")),
    during=seen((500, REVISIONS[1], 200), (200, REVISIONS[2], 200)),
)
BAD = chapter(
    "bad canary",
    3,
    serves=2,
    phase="failed",
    looks=((10, "fail"),),
    during=seen((300, REVISIONS[2], 200), (4, REVISIONS[3], 200), (6, REVISIONS[3], 500)),
)
BACK = chapter(
    "rollback by hand",
    1,
    serves=1,
    kind="rollback",
    during=seen((60, REVISIONS[2], 200)),
)
TAGS = {
    1: {"laurel.fraud.phase": "succeeded", "laurel.fraud.serving": "true"},
    2: {"laurel.fraud.phase": "succeeded", "laurel.fraud.serving": "false"},
    3: {"laurel.fraud.phase": "failed", "laurel.fraud.serving": "false"},
}
WELL = Observed(
    versions=(Version(1, "small", 0.8), Version(2, "large", 0.9), Version(3, "home", 0.9)),
    chapters=(FIRST, GOOD, BAD, BACK),
    verified=dict.fromkeys(IMAGES.values(), True),
    tags=TAGS,
)


def with_chapter(number: int, **changed: Any) -> Observed:  # noqa: ANN401 - fields of a chapter
    """Change one chapter of the demo that went well."""
    chapters = list(WELL.chapters)
    chapters[number] = replace(chapters[number], **changed)
    return replace(WELL, chapters=tuple(chapters))


def with_promotion(number: int, **changed: Any) -> Observed:  # noqa: ANN401 - as above
    """Change what the API said of one chapter's promotion."""
    promotion = WELL.chapters[number].promotion | changed
    return with_chapter(number, promotion=promotion)


def with_service(number: int, **changed: Any) -> Observed:  # noqa: ANN401 - as above
    """Change what the API said of the service after one chapter."""
    return with_chapter(number, service=WELL.chapters[number].service | changed)
