import itertools
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.demo.data_scientist import DataScientist, Version
from pipeline.demo.installation import Installation, JsonApi
from pipeline.demo.narrator import Narrator
from pipeline.demo.story import Story
from pipeline.demo.traffic import Answer, Seen, Traffic
from pipeline.errors import PermanentError
from tests.unit.demo.seen_story import IMAGES, REVISIONS

_AT = ("2026-01-05T09:00:00+00:00", "2026-01-05T09:00:02+00:00")


class _World:
    """Laurel, MLflow, the data scientist and the traffic in one: each look moves a promotion on.

    ``bad`` is the version whose canary fails; ``stuck`` stops promotions from ever ending.
    """

    webhook_secret = "secret"
    webhook = "http://laurel/webhooks/mlflow"

    def __init__(self, *, bad: int = 3, stuck: bool = False, refuses: bool = False) -> None:
        self.bad, self.stuck, self.refuses = bad, stuck, refuses
        self.promotions: list[dict[str, Any]] = []
        self.serving: int | None = None
        self.asking = False
        self.verbs: list[tuple[str, ...]] = []
        self.untold = 1
        self.answers = 0

    def register(self, model: str, *, webhook: str, secret: str) -> tuple[Version, ...]:
        assert (model, webhook, secret) == ("fraud-scorer", self.webhook, self.webhook_secret)
        return tuple(Version(number, f"number {number}", 0.8) for number in (1, 2, 3))

    def make_champion(self, _model: str, version: int) -> None:
        looks = [{"percent": 0, "verdict": "hold"}] if self.serving else []
        self._begin(version, "promotion", looks)

    def call(self, verb: str, *arguments: str) -> CompletedProcess[str]:
        self.verbs.append((verb, *arguments))
        if verb == "rollback" and not self.refuses:
            self._begin(1, "rollback", [])
        code = int(verb == "rollback" and self.refuses) or int(IMAGES[2] in arguments)
        return CompletedProcess([], code, "", "409: never served by it")

    def get(self, path: str) -> dict[str, Any]:
        if "model-versions" in path:
            return {"model_version": self._tags(int(path.rpartition("=")[2]))}
        if path.startswith("/services/"):
            revision = REVISIONS.get(self.serving or 0)
            return {"stable": {"revision": revision} if revision else None, "hold": None}
        if "?" in path:
            return {"items": [{"id": self.promotions[-1]["id"]}] if self.promotions else []}
        self._move_on(self.promotions[-1])
        return self.promotions[-1]

    def running(self) -> bool:
        return self.asking

    def start(self) -> None:
        self.asking = True

    def between(self, _begin: float, _end: float) -> Seen:
        self.answers += 30
        return Seen.of([Answer(0, 0.01, 200, REVISIONS[self.serving or 1])] * self.answers)

    def _begin(self, version: int, kind: str, looks: list[dict[str, Any]]) -> None:
        self.promotions.append(
            {
                "id": f"promotion-{len(self.promotions) + 1}",
                "kind": kind,
                "version": version,
                "phase": "running",
                "reason": "because",
                "image": IMAGES[version],
                "target": None,
                "steps": [{"name": "lock", "started_at": _AT[0], "ended_at": None}],
                "canary": looks,
            }
        )

    def _move_on(self, promotion: dict[str, Any]) -> None:
        """From lock to canary, from canary to the end."""
        (lock,), looks = promotion["steps"], promotion["canary"]
        failed = promotion["version"] == self.bad and promotion["kind"] == "promotion"
        if self.stuck:
            return
        if lock["ended_at"] is None:
            lock["ended_at"] = _AT[1]
        elif looks and looks[-1]["percent"] == 0:
            verdict = "fail" if failed else "pass"
            looks.append({"percent": 10, "verdict": verdict, "samples": {"canary": 24}})
        else:
            promotion["phase"] = "failed" if failed else "succeeded"
            self.serving = self.serving if failed else promotion["version"]

    def _tags(self, version: int) -> dict[str, Any]:
        """Answer at first without the tag: Laurel writes it a moment after the promotion's end."""
        latest = [p["id"] for p in self.promotions if p["version"] == version][-1]
        self.untold -= 1
        written = [{"key": "laurel.fraud.promotion", "value": latest}]
        return {"tags": written} if self.untold < 0 else {}


class _Silent(Narrator):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(sleep=lambda _seconds: None, monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr("pipeline.demo.story.time", clock)


def _story(world: _World) -> tuple[Story, _Silent]:
    narrator = _Silent()
    every: Any = world
    return (
        Story(
            cast("Installation", every),
            cast("JsonApi", every),
            cast("JsonApi", every),
            cast("DataScientist", every),
            cast("Traffic", every),
            narrator,
        ),
        narrator,
    )


def test_four_chapters_are_told_and_each_is_kept_as_it_was_seen() -> None:
    world = _World()
    story, narrator = _story(world)
    story.tell()
    chapters = story.observed().chapters
    assert [chapter.version for chapter in chapters] == [1, 2, 3, 1]
    assert [c.promotion["phase"] for c in chapters] == ["succeeded"] * 2 + ["failed", "succeeded"]
    assert [c.serving for c in chapters] == [REVISIONS[number] for number in (1, 2, 2, 1)]
    assert world.verbs[-1][:4] == ("rollback", "fraud", "--to", "sha256:" + "1" * 64)
    assert "  lock took 2.0 s" in narrator.said
    assert "  canary takes 10 %" in narrator.said
    assert "  canary at 10 %: fail after 24 requests" in narrator.said


@pytest.mark.parametrize(("bad", "asking"), [(1, False), (2, True)])
def test_traffic_begins_with_what_first_serves_and_not_before(bad: int, asking: bool) -> None:  # noqa: FBT001 - parametrized
    world = _World(bad=bad)
    story, _ = _story(world)
    story.tell()
    assert world.asking is asking


@pytest.mark.parametrize(("bad", "chapters"), [(1, 1), (2, 2), (9, 3)])
def test_a_chapter_that_ends_otherwise_than_it_should_is_the_last(bad: int, chapters: int) -> None:
    story, _ = _story(_World(bad=bad))
    story.tell()
    assert len(story.observed().chapters) == chapters


def test_a_promotion_that_never_ends_ends_the_demo() -> None:
    story, _ = _story(_World(stuck=True))
    with pytest.raises(PermanentError, match="nothing ended in 900 s"):
        story.tell()
    assert story.observed().chapters == ()
    assert len(story.observed().versions) == 3


def test_a_rollback_that_is_refused_is_told_in_laurels_words() -> None:
    story, _ = _story(_World(refuses=True))
    with pytest.raises(PermanentError, match="409: never served by it"):
        story.tell()
    assert len(story.observed().chapters) == 3


def test_each_image_is_verified_once_and_an_unverified_one_is_kept_as_such() -> None:
    world = _World()
    story, _ = _story(world)
    story.tell()
    story.check()
    assert story.observed().verified == {IMAGES[1]: True, IMAGES[2]: False, IMAGES[3]: True}
    assert sorted(verb for verb in world.verbs if verb[0] == "verify") == [
        ("verify", IMAGES[number]) for number in (1, 2, 3)
    ]


def test_tags_are_read_once_laurel_has_written_the_latest_promotion_there() -> None:
    story, _ = _story(_World())
    story.tell()
    story.check()
    assert story.observed().tags[1] == {"laurel.fraud.promotion": "promotion-4"}


def test_tags_that_are_never_written_are_not_waited_for_for_ever() -> None:
    world = _World()
    story, _ = _story(world)
    story.tell()
    world.untold = 1_000_000
    story.check()
    assert story.observed().tags == {1: {}, 2: {}, 3: {}}
