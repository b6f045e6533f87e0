"""``laurel`` that ends, or stands still, where a test wants it: ``mortal_laurel.py POINTS VERB …``.

``POINTS`` is ``never``, or ``die@`` or ``stop@`` and points with commas between: ``write`` is after
each change of the cluster that the API server has answered, ``step_ended:deploy`` after that event
of the record, ``step_started:prove`` likewise. Who dies, dies at the first point that it reaches,
as ``kill -9`` does to a process group; who stops does so at each point, ``write`` each time and any
other once, and goes on when it is told to. Which point that was is appended to ``points.log``
beside laurel.yaml.

Everything else is what a user runs, with the light models of the acceptance tests.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pipeline import cli, wiring
from pipeline.kserve.cluster import Cluster
from pipeline.ledger.events import Events
from tests.acceptance.light_models import LightResolver

WRITE = "write"
REACHED = "points.log"


class Points:
    """Where this process is to end or to stop."""

    def __init__(self, said: str, log: Path) -> None:
        self._how, _, names = said.partition("@")
        self._names = set(names.split(","))
        self._log = log

    def reached(self, name: str) -> None:
        """End or stop here, if that is wanted."""
        if name not in self._names:
            return
        if name != WRITE:
            self._names.discard(name)
        with self._log.open("a") as log:
            log.write(f"{name}\n")
        if self._how == "die":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGSTOP)


def main(said: str, *arguments: str) -> None:
    points = Points(said, Path(arguments[-1]).with_name(REACHED))
    append = Events.append

    def appended(
        events: Events, promotion: str, at: datetime, kind: str, data: dict[str, Any]
    ) -> None:
        append(events, promotion, at, kind, data)
        points.reached(f"{kind}:{data.get('name')}")

    def answered(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*args: object, **how: object) -> object:
            done = write(*args, **how)
            points.reached(WRITE)
            return done

        return written

    with ExitStack() as stack:
        stack.enter_context(patch.object(wiring, "UvResolver", LightResolver))
        stack.enter_context(patch.object(Events, "append", appended))
        for verb in ("create", "patch", "delete"):
            written = answered(getattr(Cluster, verb))
            stack.enter_context(patch.object(Cluster, verb, written))
        sys.argv[1:] = arguments
        cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
