"""The four chapters: a first deploy, a good canary, a bad one, a rollback by hand.

Told like any user would see it: by MLflow's client, Laurel's command line and HTTP API, and the
answers of the proxy. Nothing here reads Laurel's files.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from pipeline.demo.data_scientist import DataScientist, Version
from pipeline.demo.installation import MODEL, SERVICE, Installation, JsonApi
from pipeline.demo.narrator import Narrator
from pipeline.demo.observed import Chapter, Observed
from pipeline.demo.traffic import RATE, Traffic
from pipeline.errors import PermanentError

_ENDED = {"succeeded", "failed", "errored", "aborted", "superseded"}
_WITHIN = 900.0
"""Seconds for one chapter: the first one ever installs an environment."""
_AFTERWARDS = 80
"""Requests that are counted after each chapter."""
_AFTERWARDS_WITHIN = 15.0
_LOOK_EVERY = 0.2
_WORTH_A_LINE = 0.5
_MLFLOW_TAGS_WITHIN = 10.0


class Story:
    """Tells the chapters and keeps what was seen of them, also when one of them goes wrong."""

    def __init__(
        self,
        installation: Installation,
        laurel: JsonApi,
        mlflow: JsonApi,
        scientist: DataScientist,
        traffic: Traffic,
        narrator: Narrator,
    ) -> None:
        self._installation = installation
        self._laurel = laurel
        self._mlflow = mlflow
        self._scientist = scientist
        self._traffic = traffic
        self._narrator = narrator
        self._versions: tuple[Version, ...] = ()
        self._chapters: list[Chapter] = []
        self._verified: dict[str, bool] = {}
        self._tags: dict[int, dict[str, str]] = {}

    def observed(self) -> Observed:
        """Say what was seen so far."""
        return Observed(self._versions, tuple(self._chapters), self._verified, self._tags)

    def tell(self) -> None:
        """Go through the chapters; the first that ends otherwise than it should is the last."""
        self._register()
        good, better, bad = (version.version for version in self._versions)
        if not self._promote("first deploy", good, "succeeded"):
            return
        if not self._promote("good canary", better, "succeeded"):
            return
        if not self._promote("bad canary", bad, "failed"):
            return
        self._roll_back(good)

    def check(self) -> None:
        """Look at what the chapters left: signatures, and tags in MLflow."""
        images = {chapter.image for chapter in self._chapters if chapter.image is not None}
        with ThreadPoolExecutor() as pool:
            self._verified.update(zip(images, pool.map(self._verifies, images), strict=True))
        for chapter in reversed(self._chapters):  # the newest first: it changes earlier ones' tags
            if chapter.version not in self._tags:
                self._tags[chapter.version] = self._tags_of(chapter)

    def _verifies(self, image: str) -> bool:
        return self._installation.call("verify", image).returncode == 0

    def _register(self) -> None:
        secret, webhook = self._installation.webhook_secret, self._installation.webhook
        self._versions = self._scientist.register(MODEL, webhook=webhook, secret=secret)
        for version in self._versions:
            self._narrator.say(
                f"MLflow has {MODEL} {version.version}: {version.name!r}, AUC {version.auc:.3f}"
            )

    def _promote(self, title: str, version: int, phase: str) -> bool:
        def move() -> None:
            self._narrator.say(f"{title}: @champion moves to version {version} in MLflow")
            self._scientist.make_champion(MODEL, version)

        chapter = self._chapter(title, version, move)
        return bool(chapter.promotion["phase"] == phase)

    def _roll_back(self, version: int) -> None:
        image = next(c.image for c in self._chapters if c.version == version)
        digest = str(image).partition("@")[2]

        def roll_back() -> None:
            self._narrator.say(f"rollback by hand: laurel rollback {SERVICE} --to {digest[:19]}…")
            ran = self._installation.call(
                "rollback", SERVICE, "--to", digest, "--reason", "the demo asks for it"
            )
            if ran.returncode:
                raise PermanentError("roll back", SERVICE, ran.stderr.strip())

        self._chapter("rollback by hand", version, roll_back)

    def _chapter(self, title: str, version: int, begin: Callable[[], None]) -> Chapter:
        before = self._newest()
        started = time.monotonic()
        begin()
        with self._narrator.waiting(f"{title}: version {version}"):
            promotion = self._follow(before, deadline=started + _WITHIN)
        ended = time.monotonic()
        service = self._laurel.get(f"/services/{SERVICE}")
        self._narrator.say(f"{title}: {promotion['phase']}: {promotion['reason']}")
        if service["stable"] and not self._traffic.running():
            self._traffic.start()
            self._narrator.say(f"traffic begins: {RATE:g} requests a second through Envoy")
        self._wait_for_requests(ended)
        chapter = Chapter(
            title,
            version,
            promotion,
            service,
            during=self._traffic.between(started, ended),
            after=self._traffic.between(ended, time.monotonic()),
            seconds=round(ended - started, 1),
        )
        self._chapters.append(chapter)
        return chapter

    def _newest(self) -> str | None:
        items = self._laurel.get(f"/promotions?service={SERVICE}&limit=1")["items"]
        return items[0]["id"] if items else None

    def _follow(self, before: str | None, deadline: float) -> dict[str, Any]:
        """Wait for the next promotion after ``before`` and for its end."""
        told: set[str] = set()
        while time.monotonic() < deadline:
            newest = self._newest()
            if newest != before:
                promotion = self._laurel.get(f"/promotions/{newest}")
                for line in _progress(promotion):
                    if line not in told:
                        told.add(line)
                        self._narrator.say(f"  {line}")
                if promotion["phase"] in _ENDED:
                    return promotion
            time.sleep(_LOOK_EVERY)
        raise PermanentError(
            "see a promotion end", SERVICE, f"nothing ended in {_WITHIN:g} s; see laurel.log"
        )

    def _wait_for_requests(self, since: float) -> None:
        deadline = time.monotonic() + _AFTERWARDS_WITHIN
        while self._traffic.running() and time.monotonic() < deadline:
            if self._traffic.between(since, time.monotonic()).requests >= _AFTERWARDS:
                return
            time.sleep(_LOOK_EVERY)

    def _tags_of(self, chapter: Chapter) -> dict[str, str]:
        """Read a version's tags from MLflow, once Laurel has written this promotion's there."""
        deadline = time.monotonic() + _MLFLOW_TAGS_WITHIN
        query = f"name={MODEL}&version={chapter.version}"
        while True:
            answer = self._mlflow.get(f"/api/2.0/mlflow/model-versions/get?{query}")
            tags = {tag["key"]: tag["value"] for tag in answer["model_version"].get("tags", [])}
            written = tags.get(f"laurel.{SERVICE}.promotion") == chapter.promotion["id"]
            if written or time.monotonic() > deadline:
                return tags
            time.sleep(_LOOK_EVERY)


def _progress(promotion: dict[str, Any]) -> Iterator[str]:
    """Say what took a while, and each share of the traffic with what was seen there."""
    for step in promotion["steps"]:
        seconds = _seconds(step["started_at"], step["ended_at"]) if step["ended_at"] else 0.0
        if seconds >= _WORTH_A_LINE and step["name"] != "canary":
            yield f"{step['name']} took {seconds:.1f} s"
    for look in promotion["canary"]:
        if look["percent"]:
            yield f"canary takes {look['percent']} %"
        if look["verdict"] in {"pass", "fail"}:
            samples = look["samples"]["canary"]
            yield f"canary at {look['percent']} %: {look['verdict']} after {samples} requests"


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
