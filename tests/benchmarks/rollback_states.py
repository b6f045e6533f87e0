"""A real ``laurel up`` with three versions of a service, brought into each state of a rollback."""

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline import wiring
from pipeline.adapters.local_serving import LocalServing
from pipeline.domain.promotion import Phase, Promotion
from pipeline.domain.references import ImageRef
from pipeline.local.desired import Deployed
from tests.acceptance.conftest import LIGHT, Registered, registered
from tests.fakes.mlflow_webhook import call_for_rollback
from tests.servers.laurel import SERVICE, Laurel, install
from tests.servers.mlflow import running_mlflow
from tests.servers.waiting import until

_PAGER = "secret of the pager"
_HALF = 50
_CANARY = {"steps": [_HALF], "interval": "1h", "min_samples": 5, "look_every": "250ms"}
_STEPS = ("recorded", "verify", "observe", "attest_deployment", "deploy", "complete")


class Stage:
    """The service; versions 1 and 2 are warm and one of them serves, 3 is what canaries are of."""

    def __init__(self, laurel: Laurel, model: Registered) -> None:
        self.laurel = laurel
        self._model = model
        self._images: dict[int, ImageRef] = {}
        for version in (1, 2):
            model.add()
            model.point(version)
            if version > 1:
                self._until_half()
                self._decide("complete")
            ended = laurel.ended(version)
            assert ended.phase is Phase.SUCCEEDED, laurel.story()
            assert ended.image is not None
            self._images[version] = ended.image
        model.add()

    @property
    def serves(self) -> int:
        """Which version takes everything."""
        stable = self.laurel.state().stable
        assert stable is not None
        return stable.model_version or 0

    @property
    def other(self) -> int:
        """The one of the two that is warm and takes nothing."""
        return 3 - self.serves

    def back_to(self, version: int | None) -> Promotion:
        """Call the webhook, signed, and return the promotion that it began."""
        body = {"service": SERVICE, "reason": "measured"}
        if version is not None:
            body["digest"] = self._images[version].digest.value
        now = datetime.now(UTC)
        call = call_for_rollback(body, delivery=str(uuid4()), secret=_PAGER.encode(), at=now)
        port = self.laurel.settings.server.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", call.path, call.body, call.headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        assert response.status == 202, answer
        found = self.laurel.ledger.promotions.get(answer["promotion"])
        assert found is not None
        return found

    def at_rest(self) -> None:
        """Wait until nothing runs."""
        until(lambda: not self.laurel.ledger.promotions.open(), "rest", say=self.laurel.story)

    def hold(self) -> None:
        self._call("PUT", f"/services/{SERVICE}/hold", {"reason": "measured"})

    def release(self) -> None:
        self._call("DELETE", f"/services/{SERVICE}/hold")

    def canary(self) -> None:
        """Bring version 3 to half of the traffic."""
        self._call("POST", "/promotions", {"model": self._model.name, "version": 3})
        self._until_half()

    def under_way(self, version: int, number: int) -> None:
        """Call for a rollback, and wait until it has begun one of its steps."""
        began, name = self.back_to(version), _STEPS[number % len(_STEPS)]

        def there() -> bool:
            notes = self.laurel.ledger.events.of(began.id, kind="step_started")
            return any(note.data["name"] == name for note in notes)

        until(there, f"the step {name}", say=self.laurel.story)

    def by_hand(self) -> Callable[[], None]:
        """Give what moves traffic to the other version by the target alone, with nobody asked."""
        target = wiring.build_target(self.laurel.settings)
        assert isinstance(target, LocalServing)
        if self._warm(target) is None:  # a rollback that was superseded ended what it had started
            self.back_to(self.other)
            self.at_rest()
        desired, warm = target._supervisor.desired(SERVICE), self._warm(target)
        assert warm is not None

        def move() -> None:
            sequence = desired.sequence
            after = target._supervisor.change(SERVICE, lambda now: now.deploy(warm, sequence))
            target.complete(SERVICE, after.canary or "", sequence)

        return move

    def _warm(self, target: LocalServing) -> Deployed | None:
        revisions = target._supervisor.desired(SERVICE).revisions.values()
        return next((each for each in revisions if each.model_version == self.other), None)

    def _until_half(self) -> None:
        def half() -> bool:
            canary = self.laurel.state().canary
            return canary is not None and canary.percent == _HALF

        until(half, "half of the traffic", say=self.laurel.story)

    def _decide(self, verb: str) -> None:
        newest = self.laurel.promotions()[-1]
        self._call("POST", f"/promotions/{newest.id}/{verb}", {})

    def _call(self, method: str, path: str, body: object = None) -> None:
        status, answer = self.laurel.call(method, path, body)
        assert status in {200, 202}, answer


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Lend a stage with an MLflow and a Laurel of its own, which polls as it does by default."""
    (folder / "mlflow").mkdir()
    with running_mlflow(folder / "mlflow") as mlflow:
        model = registered(mlflow, folder)
        worker = {"cache": str(folder / "cache")}
        sections = {"rollback": {"secret_file": "pager.secret"}, "worker": worker}
        home = install(
            folder / "laurel", mlflow.url, None, sections, model=model.name, canary=_CANARY
        )
        (home / "pager.secret").touch(0o600)
        (home / "pager.secret").write_text(_PAGER)
        laurel = Laurel(home, LIGHT)
        laurel.start("up")
        try:
            until(laurel.answers, "the receiver answers", say=laurel.log)
            yield Stage(laurel, model)
        finally:
            laurel.down()
