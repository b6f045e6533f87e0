"""Steps carried out here and now: no ledger, no checkpoints, no decisions, little patience.

For ``laurel build``, where a person waits at the prompt and may type the command again: every step
finds what an earlier one has finished.
"""

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from pipeline.domain.evidence import Refused, Stopped
from pipeline.domain.promotion import Promotion
from pipeline.errors import TransientError
from pipeline.ports import ArtifactStore, Clock, ModelRegistry
from pipeline.run import unwrap

P = ParamSpec("P")
T = TypeVar("T")
_WAITS = (1.0, 4.0)  # seconds between tries; then the person decides


class Steps(Protocol):
    """What making an image needs of whoever carries its steps out: ``Run``, or ``AtOnce``."""

    @property
    def promotion(self) -> Promotion:
        """What is carried out."""

    @property
    def clock(self) -> Clock:
        """The time, on which nobody oversleeps a decision."""

    def step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step; ``Ended`` where it refused."""

    def long_step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step that may wait for others for minutes."""

    def heavy_step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step that costs the machine."""

    def fresh(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step whose evidence is never restored."""

    def interruptible(self, store: ArtifactStore) -> ArtifactStore:
        """Give a store whose streams end at a decision."""

    def confirm(self, registry: ModelRegistry) -> None:
        """Read the alias again before going on."""


class AtOnce:
    """Carries steps out as they come; implements :class:`Steps`.

    Parameters
    ----------
    promotion
        What would be promoted; it is in no ledger.
    tell
        Told, for a person, which step begins and why one is tried again.

    """

    def __init__(self, promotion: Promotion, clock: Clock, tell: Callable[[str], None]) -> None:
        self.promotion = promotion
        self.clock = clock
        self._tell = tell

    def step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step; what is away is asked three times.

        Raises
        ------
        Ended
            Where the step refused.
        LaurelError
            Where it broke.

        """
        name = do.__name__.replace("_", " ")
        self._tell(name)
        for wait in _WAITS:
            try:
                return unwrap(do(*args, **kwargs))
            except TransientError as error:
                self._tell(f"{name} again: {error}")
                self.clock.sleep(min(error.retry_after or wait, max(_WAITS)))
        return unwrap(do(*args, **kwargs))

    long_step = heavy_step = fresh = step

    def interruptible(self, store: ArtifactStore) -> ArtifactStore:
        """Give the store as it is: Ctrl-C ends everything."""
        return store

    def confirm(self, registry: ModelRegistry) -> None:
        """Go on: the image is of the version that was named, whatever the alias names by now."""
