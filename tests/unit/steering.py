"""What people do to one promotion, now or some time from now."""

from collections.abc import Callable
from datetime import timedelta

from pipeline.domain.admission import Frozen
from pipeline.domain.promotion import ControlKind
from pipeline.domain.serving import Hold
from tests.unit.promotion_scene import SERVICE, Scene


def after(made: Scene, seconds: float, act: Callable[[], object]) -> None:
    """Do something once, so long from now."""
    due = made.clock.now() + timedelta(seconds=seconds)
    done: list[bool] = []

    def passing(_seconds: float) -> None:
        if not done and made.clock.now() >= due:
            done.append(True)
            act()

    made.clock.passing.append(passing)


def hold(made: Scene) -> None:
    made.ledger.holds.set(SERVICE, Hold("ada", "an incident", made.clock.now()))


def release(made: Scene) -> None:
    made.ledger.holds.release(SERVICE, actor="ada", at=made.clock.now())


def freeze(made: Scene) -> None:
    made.freezes.window = Frozen(made.clock.now() + timedelta(days=9), "quiet")


def thaw(made: Scene) -> None:
    made.freezes.window = None


def pause(made: Scene) -> None:
    made.decide(ControlKind.PAUSE)


def resume(made: Scene) -> None:
    made.decide(ControlKind.RESUME)
