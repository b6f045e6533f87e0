"""Locks of the last day, by what they were resolved from (``ports.LockResolver``).

A model that is trained again with the same requirements then keeps its environment, byte for byte:
only its own layers move. After a day, or with ``--rebuild``, the package index is asked anew.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.references import Digest
from pipeline.image.blob_file import disk, write_file
from pipeline.ports import Clock, LockResolver

KEPT_FOR = timedelta(days=1)


class RememberedLocks:
    """Asks ``resolver`` only for what ``folder`` has no young answer to; losing it costs time."""

    def __init__(self, resolver: LockResolver, folder: Path, clock: Clock) -> None:
        self._resolver = resolver
        self._folder = folder
        self._clock = clock
        with disk("make the folder of locks", folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = False,
    ) -> Lock | Refused:
        """Return the last day's lock, unless a fresh one is asked for; refusals are not kept."""
        asked = sorted(requirements)
        path = self._folder / f"{_name(asked, runtime, python_version)}.json"
        text = None if fresh else self._young(path)
        if text is not None:
            return Lock(text, Digest.of(text.encode()), runtime, python_version)
        answer = self._resolver.resolve(
            asked, runtime=runtime, python_version=python_version, fresh=fresh
        )
        if isinstance(answer, Lock):
            kept = {"resolved_at": self._clock.now().isoformat(), "text": answer.text}
            write_file(path, json.dumps(kept).encode(), scratch=self._folder)
        return answer

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        """Install as the resolver does."""
        self._resolver.install(lock, target, python=python)

    def _young(self, path: Path) -> str | None:
        try:
            kept = json.loads(path.read_bytes())
            age = self._clock.now() - datetime.fromisoformat(kept["resolved_at"])
            return str(kept["text"]) if timedelta(0) <= age < KEPT_FOR else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # never resolved, or not ours to understand: the resolver knows


def _name(requirements: list[str], runtime: str, python_version: str) -> str:
    asked = json.dumps([requirements, runtime, python_version])
    return hashlib.sha256(asked.encode()).hexdigest()
