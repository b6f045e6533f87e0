"""Knative's living conditions: one that is happy where all it depends on are.

As knative.dev/pkg/apis/condition_set.go has it: False trumps Unknown, what does not count towards
happiness has severity ``Info``, times change only with the rest, and types are sorted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """The conditions within one ``status``, which is changed in place."""

    status: Json
    dependents: tuple[str, ...]
    stamp: Callable[[], str]

    def get(self, type_: str) -> Json | None:
        found: list[Json] = self.status.get("conditions", [])
        return next((one for one in found if one["type"] == type_), None)

    def is_(self, type_: str, value: str) -> bool:
        found = self.get(type_)
        return found is not None and found["status"] == value

    def initialize(self) -> None:
        for type_ in ("Ready", *self.dependents):
            if self.get(type_) is None:
                self._set(type_, "Unknown")

    def true(self, type_: str, reason: str = "", message: str = "") -> None:
        self._set(type_, "True", reason, message)
        unhappy = self._unhappy()
        if unhappy is not None:
            said = unhappy.get("reason", ""), unhappy.get("message", "")
            self._set("Ready", unhappy["status"], *said)
        elif type_ != "Ready":
            self._set("Ready", "True")

    def false(self, type_: str, reason: str = "", message: str = "") -> None:
        self._set(type_, "False", reason, message)
        if type_ in self.dependents:
            self._set("Ready", "False", reason, message)

    def unknown(self, type_: str, reason: str = "", message: str = "") -> None:
        self._set(type_, "Unknown", reason, message)
        if any(self.is_(dependent, "False") for dependent in self.dependents):
            if not self.is_("Ready", "False"):
                self._set("Ready", "False", reason, message)
        elif type_ in self.dependents:
            self._set("Ready", "Unknown", reason, message)

    def copy(self, type_: str, other: Json | None) -> None:
        """Mark as another object's condition says; nothing where there is none."""
        if other is not None:
            mark = {"True": self.true, "False": self.false, "Unknown": self.unknown}
            mark[other["status"]](type_, other.get("reason", ""), other.get("message", ""))

    def _unhappy(self) -> Json | None:
        found: list[Json] = [
            one for one in self.status["conditions"] if one["type"] in self.dependents
        ]
        found.sort(key=lambda one: one["lastTransitionTime"], reverse=True)
        for value in ("False", "Unknown"):
            for one in found:
                if one["status"] == value:
                    return one
        if len(found) < len(self.dependents):
            return {"status": "Unknown"}
        return None

    def _set(self, type_: str, status: str, reason: str = "", message: str = "") -> None:
        made = {"type": type_, "status": status}
        made |= {key: said for key, said in (("reason", reason), ("message", message)) if said}
        if type_ not in ("Ready", *self.dependents):
            made["severity"] = "Info"
        old = self.get(type_)
        if old is not None and {**old, "lastTransitionTime": ""} == {
            **made,
            "lastTransitionTime": "",
        }:
            return
        made["lastTransitionTime"] = self.stamp()
        others = [one for one in self.status.get("conditions", []) if one["type"] != type_]
        self.status["conditions"] = sorted([*others, made], key=lambda one: one["type"])
