"""The durable engine (DBOS) behind six calls: start, enqueue, live, step, forget, stop.

It holds checkpoints only (law 8): which steps of an attempt have ended, and with what. Its file may
be deleted; the ledger then starts new attempts, whose steps find their own finished work.

What DBOS needs from us on SQLite, measured on 3.4.0:

- WAL with full sync: the default journal let a waiting webhook see seconds (not switched on by it);
- ``unixepoch('subsec')`` is NULL before SQLite 3.42, and DBOS on Python 3.12+ asks for it;
- timestamps of whole seconds on Python 3.11, so promotions of one second would run in any order:
  the queue's priority is the promotion's sequence;
- a constant executor id, so that a restarted worker recovers its own work, and therefore one worker
  per file, held by a lock.
"""

import fcntl
import io
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
)

from pipeline.errors import ConfigurationError, UnavailableError

type_json = Any
PLAN_SCHEMA = 3
"""Version of the steps and of their evidence. Raise it when either changes: attempts of an older
version are then started anew instead of being replayed against other code."""

_QUEUE = "promotions"
_LIVE = ["PENDING", "ENQUEUED", "DELAYED"]
_PRIORITIES = 2**31 - 1


class Engine:
    """Runs attempts of promotions, one per service at a time, and remembers their steps.

    Parameters
    ----------
    path
        The SQLite file of the checkpoints; made on first use.
    carry_out
        What one attempt does: called with the promotion's id and the attempt's number.
    poll
        Seconds between two looks at the queue.

    """

    def __init__(
        self, path: Path, carry_out: Callable[[str, int], None], *, poll: float = 0.5
    ) -> None:
        self._path = path
        self._poll = poll
        self._carry_out = carry_out
        self._lock: io.TextIOWrapper | None = None
        self._workflow: Callable[[str, int], None] | None = None
        self._left: set[tuple[str, int]] = set()

    def start(self) -> None:
        """Take the file, recover what was interrupted, begin to run what is enqueued."""
        self._lock = _locked(self._path)
        logging.getLogger("dbos").setLevel(logging.WARNING)
        DBOS(config=self._config())
        carry_out, left = self._carry_out, self._left

        @DBOS.workflow(name="promotion", max_recovery_attempts=None)
        def promotion(promotion_id: str, attempt: int) -> None:
            try:
                carry_out(promotion_id, attempt)
            finally:
                left.add((promotion_id, attempt))

        self._workflow = promotion
        try:
            DBOS.launch()
            DBOS.register_queue(
                _QUEUE,
                partition_concurrency=1,
                polling_interval_sec=self._poll,
                on_conflict="always_update",
            )
        except sa.exc.DBAPIError as error:
            self.stop()
            raise UnavailableError(
                "open the engine's checkpoints",
                str(self._path),
                f"{error.orig}; make room on its disk, or delete the file: it costs repeated steps",
            ) from error

    def enqueue(self, promotion: str, attempt: int, *, service: str, sequence: int) -> None:
        """Ask for an attempt; asking again for the same one changes nothing."""
        if self._workflow is None:
            raise RuntimeError("the engine has not been started")
        options = SetEnqueueOptions(
            queue_partition_key=service, priority=1 + sequence % _PRIORITIES
        )
        self._left.discard((promotion, attempt))
        with SetWorkflowID(f"{promotion}.{attempt}"), options:
            DBOS.enqueue_workflow(_QUEUE, self._workflow, promotion, attempt)

    def live(self) -> set[tuple[str, int]]:
        """List the attempts that are enqueued or running under this version of the steps.

        One that has left off is not, even where a full disk kept DBOS from writing that down.
        """
        found = DBOS.list_workflows(
            status=_LIVE, app_version=_version(), load_input=False, load_output=False
        )
        return {_attempt(workflow.workflow_id) for workflow in found} - self._left

    def step(self, name: str, do: Callable[[], type_json]) -> type_json:
        """Do something once per attempt: its JSON result, or the one that was recorded before."""
        return DBOS.run_step({"name": name}, do)

    def forget(self) -> None:
        """Delete the checkpoints of attempts that ended: the ledger has what they left."""
        live = self.live()
        known = DBOS.list_workflows(load_input=False, load_output=False)
        ended = [each.workflow_id for each in known if _attempt(each.workflow_id) not in live]
        DBOS.delete_workflows(ended)
        self._left -= {_attempt(each) for each in ended}

    def stop(self) -> None:
        """Let go; what runs is taken up again at the next start."""
        DBOS.destroy(destroy_registry=True)
        if self._lock is not None:
            self._lock.close()

    def _config(self) -> DBOSConfig:
        return {
            "name": "laurel",
            "system_database_url": f"sqlite:///{self._path}",
            "system_database_engine": _open(self._path),
            "application_version": _version(),
            "executor_id": "worker",
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": self._poll,
            "log_level": "WARNING",
            "enable_otlp": False,
        }


def _version() -> str:
    return f"laurel-{PLAN_SCHEMA}"


def _attempt(workflow_id: str) -> tuple[str, int]:
    promotion, _, number = workflow_id.rpartition(".")
    return promotion, int(number)


def _open(path: Path) -> sa.Engine:
    path.touch(mode=0o600)  # evidence is its owner's alone; SQLite makes the files beside it alike
    engine = sa.create_engine(
        f"sqlite:///{path}", connect_args={"timeout": 30, "check_same_thread": False}
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DB-API connection
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("unixepoch", 1, lambda _modifier: time.time())

    return engine


def _locked(path: Path) -> io.TextIOWrapper:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_suffix(".lock")
    name.touch(mode=0o600)  # whoever can open it can hold it
    lock = name.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        with suppress(OSError):
            lock.close()
        raise ConfigurationError(
            f"another worker runs on {path.name}: stop it first, or give this one its own ledger"
        ) from error
    return lock
