"""Whatever is called in whatever order, however interrupted: users get what was asked for.

A state machine on the fake cluster. Laurel may be killed after any of its patches, anybody may edit
percent and image by hand, and the promotion that goes on begins from what stands there.
"""

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline.domain.evidence import VerifiedImage
from pipeline.errors import LaurelError
from pipeline.kserve import restoring, shifting
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, kserve_scene
from tests.unit.memory import folder_in_memory

PERCENT = "/spec/predictor/canaryTrafficPercent"
IMAGE = "/spec/predictor/containers/0/image"


class AnyOrder(RuleBasedStateMachine):
    """One service, one promotion at a time, and a person with kubectl."""

    def __init__(self) -> None:
        super().__init__()
        self.end = ExitStack()
        folder = self.end.enter_context(folder_in_memory())
        patched = self.end.enter_context(pytest.MonkeyPatch.context())
        for module, limit in ((restoring, "RESTORED_WITHIN"), (shifting, "SEEN_WITHIN")):
            patched.setattr(module, limit, 15.0)
        self.scene: Scene = self.end.enter_context(kserve_scene(folder, patched))
        self.sequence, self.made = 2, 2
        self.stable, self.canary, self.revision = "v2", "", ""
        self.most = 0
        self.touched = False
        self.completing = self.going_back = False
        """A way out that was begun, be it killed: nothing but itself is promised from there on."""

    def teardown(self) -> None:
        self.end.close()

    @initialize()
    def a_service_with_a_history(self) -> None:
        self.scene.history("v1", "v2")

    @rule()
    def start(self) -> None:
        if self.canary:
            return
        self.sequence, self.made = self.sequence + 1, self.made + 1
        self.canary, self.most, self.completing = f"v{self.made}", 0, False
        if self.touched:
            self.call(lambda: self.scene.target.restore(SERVICE, self.sequence))
        self.deploy()

    @rule()
    def deploy(self) -> None:
        if not self.canary:
            return
        image = self.scene.image(self.canary)
        self.call(lambda: self.deployed(image))

    def deployed(self, image: VerifiedImage) -> None:
        self.revision = self.scene.target.deploy(PLAN, image, self.sequence)

    @rule(percent=st.sampled_from([0, 10, 50]))
    def shift(self, percent: int) -> None:
        if not self.revision:
            return
        self.most = max(self.most, percent)
        self.call(lambda: self.scene.target.shift(SERVICE, self.revision, percent, self.sequence))

    @rule()
    def complete(self) -> None:
        if not self.revision:
            return
        self.completing = True
        self.call(lambda: self.scene.target.complete(SERVICE, self.revision, self.sequence))
        self.settled_on(self.scene.now().digest)

    @rule()
    def restore(self) -> None:
        self.scene.target.restore(SERVICE, self.sequence)
        now = self.scene.now()
        self.settled_on(now.digest)
        assert now.clean
        assert self.scene.answers(20) == {f"200 {self.stable}"}
        self.touched = False

    @rule(after=st.integers(1, 3), end=st.booleans())
    def killed(self, after: int, *, end: bool) -> None:
        if not self.revision:
            return
        self.completing |= end
        self.going_back |= not end
        with self.scene.killed(after=after):
            if end:
                self.complete()
            else:
                self.scene.target.restore(SERVICE, self.sequence)

    @rule(after=st.integers(1, 2))
    def killed_while_starting(self, after: int) -> None:
        if self.revision:
            return
        with self.scene.killed(after=after):
            self.deploy()

    @rule(percent=st.none() | st.sampled_from([0, 20, 101]))
    def somebody_edits_the_percent(self, percent: int | None) -> None:
        self.touched = True
        if percent is not None:
            self.scene.edit({"op": "add", "path": PERCENT, "value": percent})
        elif self.scene.now().percent is not None:
            self.scene.edit({"op": "remove", "path": PERCENT})

    @rule()
    def somebody_edits_the_image(self) -> None:
        self.touched = True
        image = self.scene.image("v99")
        self.scene.edit({"op": "replace", "path": IMAGE, "value": str(image.ref)})

    @rule()
    def time_passes(self) -> None:
        self.scene.fake.advance(3)

    @invariant()
    def users_are_answered_by_what_was_asked_for(self) -> None:
        if self.touched:
            return
        for shares in self.scene.served:
            others = set(shares) - {self.stable, self.canary}
            assert not others, f"{others} served"
            if not self.completing:
                assert shares.get(self.canary, 0) <= self.most

    def call(self, do: Callable[[], object]) -> None:
        try:
            do()
        except LaurelError:
            assert self.touched or self.completing or self.going_back

    def settled_on(self, digest: str) -> None:
        known = {
            str(self.scene.image(name).ref): name for name in (self.stable, self.canary) if name
        }
        self.stable = known.get(digest, self.stable)
        self.canary = self.revision = ""
        self.completing = self.going_back = False
        self.scene.settle()
        self.scene.served.clear()


AnyOrder.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAnyOrder = AnyOrder.TestCase
