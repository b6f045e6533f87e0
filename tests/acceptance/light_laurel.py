"""``laurel`` itself: ``light_laurel.py light|real POINT VERB …``, light with a light resolver.

Everything else is what a user runs. At ``POINT`` (``step_started:build:0.2``: that many seconds
after the event was recorded; ``step_ended:build``; ``never``) the whole process group is killed,
as ``kill -9`` does.
"""

import os
import signal
import sys
import threading
from datetime import datetime
from typing import Any
from unittest.mock import patch

from pipeline import cli, wiring
from pipeline.adapters.local_serving import LocalServing
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.ledger.events import Events
from tests.acceptance.light_models import LightResolver

_append = Events.append
_restore = LocalServing.restore


class Death:
    """Kills this process group when a point is reached; in a step's middle at the latest."""

    def __init__(self, point: str) -> None:
        kind, _, rest = point.partition(":")
        name, _, seconds = rest.partition(":")
        self._point = kind, name
        self._after = float(seconds or 0)
        self._doomed = False

    def before(self, kind: str, name: str | None) -> None:
        """Let no step that is to die in its middle come to its end."""
        if self._doomed and (kind, name) == ("step_ended", self._point[1]):
            _die()

    def after(self, kind: str, name: str | None) -> None:
        if (kind, name) != self._point:
            return
        if not self._after:
            _die()
        self._doomed = True
        threading.Timer(self._after, _die).start()


def _die() -> None:
    os.killpg(0, signal.SIGKILL)


def main(resolver: str, point: str, *arguments: str) -> None:
    death = Death(point)

    def append(
        events: Events, promotion: str, at: datetime, kind: str, data: dict[str, Any]
    ) -> None:
        death.before(kind, data.get("name"))
        _append(events, promotion, at, kind, data)
        death.after(kind, data.get("name"))

    def restore(target: LocalServing, service: str, sequence: int) -> None:
        death.after("step_started", "restore")
        _restore(target, service, sequence)
        death.after("step_ended", "restore")

    with (
        patch.object(wiring, "UvResolver", LightResolver if resolver == "light" else UvResolver),
        patch.object(Events, "append", append),
        patch.object(LocalServing, "restore", restore),
    ):
        sys.argv[1:] = arguments
        cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
