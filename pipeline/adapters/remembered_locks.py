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
            self._keep(answer)
        return answer

    def known(self, digest: Digest) -> Lock | None:
        """Find a lock that was once resolved on this machine, however old."""
        try:
            kept = json.loads(self._by(digest).read_bytes())
            lock = Lock(str(kept["text"]), digest, str(kept["runtime"]), str(kept["python"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return lock if Digest.of(lock.text.encode()) == digest else None

    def _keep(self, lock: Lock) -> None:
        kept = {"text": lock.text, "runtime": lock.runtime, "python": lock.python_version}
        self._by(lock.digest).parent.mkdir(exist_ok=True, mode=0o700)
        write_file(self._by(lock.digest), json.dumps(kept).encode(), scratch=self._folder)

    def _by(self, digest: Digest) -> Path:
        return self._folder / "by-digest" / digest.hex

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
