"""What an API server keeps: objects with versions, and the history that watches are fed from.

No HTTP here; :mod:`tests.fakes.kubernetes_api` speaks it, and the controllers of
:mod:`tests.fakes.kserve_controllers` read and write here as the real ones do through it.
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import jsonpatch
import jsonpointer

from tests.fakes.kubernetes_status import (
    KINDS,
    Json,
    Kind,
    already_exists,
    bad_request,
    conflict,
    expired,
    not_found,
    patch_failed,
)

T = TypeVar("T")
_WITHOUT_STATUS = frozenset({"events"})


@dataclass(frozen=True)
class Review:
    """What admission is asked about."""

    operation: str
    kind: Kind
    object: Json
    old: Json | None
    dry_run: bool = False


@dataclass(frozen=True)
class Change:
    """One entry of the history: ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object then."""

    version: int
    type: str
    kind: Kind
    object: Json


Admission = Callable[[Review], None]
"""Raises ``Refused`` where it says no."""


class Store:
    """Objects by kind, namespace and name.

    ``admission`` is asked before an object is created, changed or deleted; ``prepare`` is what
    mutating webhooks and schemas make of an object. Whoever holds ``changed`` sees nothing change.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.admission: list[Admission] = []
        self.prepare: Callable[[Kind, Json, str], Json] = lambda _kind, made, _validation: made
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._objects: dict[Kind, dict[tuple[str, str], Json]] = {kind: {} for kind in KINDS}
        self._history: list[Change] = []
        self.pulse = 0  # how often somebody was woken
        self._version = 100
        self._oldest = 100

    @property
    def version(self) -> int:
        return self._version

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        with self.changed:
            return clone(self._objects[kind].get((namespace, name)))

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        found = self.find(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def all(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Json]:
        """List in the order of names."""
        chosen = selector(labels, fields)
        with self.changed:
            return [
                clone(found)
                for (within, _), found in sorted(self._objects[kind].items())
                if namespace in ("", within) and chosen(found)
            ]

    def create(
        self, kind: Kind, manifest: Json, *, dry_run: bool = False, validation: str = ""
    ) -> Json:
        with self.changed:
            made = self.prepare(kind, clone(manifest), validation)
            metadata = made.setdefault("metadata", {})
            place = (metadata["namespace"], metadata["name"])
            if place in self._objects[kind]:
                raise already_exists(kind, metadata["name"])
            if kind.plural not in _WITHOUT_STATUS:
                made.pop("status", None)
            made |= {"apiVersion": kind.api_version, "kind": kind.kind}
            metadata |= {"uid": str(uuid.uuid4()), "generation": 1}
            metadata["creationTimestamp"] = self.stamp()
            self._admit(Review("CREATE", kind, made, None, dry_run))
            if not dry_run:
                self._record("ADDED", kind, made)
            return clone(made)

    def update(
        self,
        kind: Kind,
        wanted: Json,
        *,
        subresource: str = "",
        dry_run: bool = False,
        validation: str = "",
    ) -> Json:
        """Write what may be written there: all but the status, or the status alone."""
        with self.changed:
            name = wanted["metadata"]["name"]
            old = self.get(kind, wanted["metadata"]["namespace"], name)
            said = wanted["metadata"].get("resourceVersion")
            if said is not None and said != old["metadata"]["resourceVersion"]:
                raise conflict(kind, name)
            made = self._merged(kind, old, clone(wanted), subresource, validation)
            if made == old:
                return made
            self._admit(Review("UPDATE", kind, made, old, dry_run))
            if dry_run:
                return made
            metadata = made["metadata"]
            if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
                self._forget(kind, made)
            else:
                self._record("MODIFIED", kind, made)
            return clone(made)

    def patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        operations: list[Json],
        **how: Any,  # noqa: ANN401 - as update() takes them
    ) -> Json:
        """Apply a JSON patch to what is there now, all of it or nothing."""
        with self.changed:
            patched = apply_patch(self.get(kind, namespace, name), operations)
            return self.update(kind, patched, **how)

    def set_status(self, kind: Kind, seen: Json) -> Json:
        """Write an object's status, as a controller does."""
        wanted = clone(seen)
        wanted["metadata"].pop("resourceVersion", None)
        return self.update(kind, wanted, subresource="status")

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        with self.changed:
            found = self.get(kind, namespace, name)
            self._admit(Review("DELETE", kind, found, found))
            if not found["metadata"].get("finalizers"):
                self._forget(kind, found)
            elif "deletionTimestamp" not in found["metadata"]:
                found["metadata"]["deletionTimestamp"] = self.stamp()
                found["metadata"]["generation"] += 1
                self._record("MODIFIED", kind, found)

    def since(self, kind: Kind, namespace: str, version: int, fields: str = "") -> list[Change]:
        """Tell what happened after a version; ``Refused`` 410 where that is forgotten."""
        chosen = selector("", fields)
        with self.changed:
            if version < self._oldest:
                raise expired(version, self._oldest)
            return [
                change
                for change in self._history
                if change.version > version
                and change.kind == kind
                and change.object["metadata"]["namespace"] == namespace
                and chosen(change.object)
            ]

    def compact(self) -> None:
        """Forget the history: whoever watches from an earlier version is told 410."""
        with self.changed:
            self._version += 1
            self._oldest = self._version
            self._history.clear()
            self._wake()

    def poke(self) -> None:
        """Let those who wait for a change look again."""
        with self.changed:
            self._wake()

    def stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _merged(
        self, kind: Kind, old: Json, wanted: Json, subresource: str, validation: str
    ) -> Json:
        if subresource == "status":
            made = clone(old)
            made.pop("status", None)
            return {**made, "status": wanted["status"]} if wanted.get("status") else made
        made = self.prepare(kind, wanted, validation)
        made.pop("status", None)
        if "status" in old:
            made["status"] = clone(old["status"])
        kept = ("uid", "creationTimestamp", "resourceVersion", "deletionTimestamp")
        given = {key: old["metadata"][key] for key in kept if key in old["metadata"]}
        made["metadata"] = {**made["metadata"], **given}
        changed = made.get("spec") != old.get("spec")
        made["metadata"]["generation"] = old["metadata"]["generation"] + changed
        return made

    def _admit(self, review: Review) -> None:
        for asked in list(self.admission):
            asked(review)

    def _record(self, type_: str, kind: Kind, made: Json) -> None:
        self._version += 1
        made["metadata"]["resourceVersion"] = str(self._version)
        kept = clone(made)
        self._objects[kind][kept["metadata"]["namespace"], kept["metadata"]["name"]] = kept
        self._note(type_, kind, kept)

    def _forget(self, kind: Kind, gone: Json) -> None:
        self._version += 1
        gone["metadata"]["resourceVersion"] = str(self._version)
        del self._objects[kind][gone["metadata"]["namespace"], gone["metadata"]["name"]]
        self._note("DELETED", kind, gone)

    def _note(self, type_: str, kind: Kind, made: Json) -> None:
        self._history.append(Change(self._version, type_, kind, made))
        self._wake()

    def _wake(self) -> None:
        self.pulse += 1
        self.changed.notify_all()


def clone(value: T) -> T:
    """Copy JSON, several times faster than what copies anything."""
    made: Any = value
    if isinstance(value, dict):
        made = {key: clone(within) for key, within in value.items()}
    elif isinstance(value, list):
        made = [clone(within) for within in value]
    return cast("T", made)


def selector(labels: str, fields: str) -> Callable[[Json], bool]:
    """Make a predicate of selectors: equalities, inequalities and bare keys, joined by commas."""
    wanted = [*_terms(labels, _label), *_terms(fields, _field)]
    return lambda found: all(
        (read(found, key) == said) is same if said is not None else bool(read(found, key))
        for read, key, same, said in wanted
    )


_Read = Callable[[Json, str], str]


def _terms(text: str, read: _Read) -> Iterator[tuple[_Read, str, bool, str | None]]:
    for term in filter(None, text.split(",")):
        key, unequal, said = term.partition("!=")
        if unequal:
            yield read, key, False, said
            continue
        key, equal, said = term.replace("==", "=").partition("=")
        yield read, key, True, said if equal else None


def _label(found: Json, key: str) -> str:
    return str(found["metadata"].get("labels", {}).get(key, ""))


def _field(found: Json, key: str) -> str:
    if key.partition(".")[0] not in ("metadata", "status", "involvedObject", "reason"):
        raise bad_request(f"field label not supported: {key}")
    value: Any = found
    for part in key.split("."):
        value = value.get(part, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, str) else ""


def apply_patch(document: Json, operations: list[Json]) -> Json:
    """Apply a JSON patch, all of it or nothing; ``Refused`` where a guard fails."""
    patched = document
    for operation in operations:
        patched = _applied(patched, operation)
    return patched


def _applied(document: Json, operation: Json) -> Json:
    """Apply one operation; a ``test`` of null on a missing path passes, as on the real server."""
    if operation.get("op") == "test" and operation.get("value") is None:
        try:
            found = jsonpointer.resolve_pointer(document, operation["path"])
        except jsonpointer.JsonPointerException:
            return document
        if found is None:
            return document
        raise patch_failed()
    try:
        patched: Json = jsonpatch.JsonPatch([operation]).apply(document)
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise patch_failed() from error
    return patched
