"""Threads of which one goes at a time, and only when it is told to: any interleaving, repeatably.

Each stops wherever it says so (:meth:`Turns.here`), goes on when its turn comes, and can be ended
there, as a killed process ends: nothing of it runs any more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_STUCK_AFTER = 60.0


class Killed(BaseException):
    """The process is gone."""


@dataclass(eq=False)
class Actor:
    """One thread; ``due`` is the time until which it sleeps, ``fault`` what it died of."""

    name: str
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    due: float = 0.0
    alive: bool = True
    fault: BaseException | None = None


class Turns:
    """The threads of one process."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.moves = 0
        self._back = threading.Semaphore(0)
        self._here = threading.local()
        self._dead = False

    @property
    def now(self) -> Actor | None:
        """Whose turn it is, seen from its own thread; ``None`` from any other."""
        found: Actor | None = getattr(self._here, "actor", None)
        return found

    def begin(self, name: str, do: Callable[[], None]) -> None:
        """Have something done in a thread of its own, from its first turn on."""
        actor = Actor(name)
        self.actors.append(actor)

        def work() -> None:
            self._here.actor = actor
            actor.go.acquire()
            try:
                if not self._dead:
                    do()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 - the test is told, not the thread's hook
                actor.fault = error
            finally:
                actor.alive = False
                self._back.release()

        threading.Thread(target=work, name=name, daemon=True).start()

    def here(self, due: float = 0.0) -> None:
        """Stop, and go on at the next turn after ``due``; other threads pass."""
        actor = self.now
        if actor is None:
            return
        if not self._dead:
            actor.due = due
            self._back.release()
            actor.go.acquire()
        if self._dead:
            raise Killed

    def go(self, actor: Actor) -> None:
        """Let one go on to where it stops next, or to its end."""
        self.moves += 1
        self._resume(actor)
        if actor.fault is not None:
            raise AssertionError(f"{actor.name} died") from actor.fault
        self.actors = [each for each in self.actors if each.alive]

    def kill(self) -> None:
        """End them all where they stand; others may begin afterwards."""
        self._dead = True
        for actor in self.actors:
            self._resume(actor)
        self.actors = []
        self._dead = False

    def _resume(self, actor: Actor) -> None:
        actor.go.release()
        assert self._back.acquire(timeout=_STUCK_AFTER), f"{actor.name} stopped nowhere"
