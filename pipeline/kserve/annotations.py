"""What Laurel writes on an InferenceService, and how that stays out of its revisions.

KServe copies annotations of an InferenceService into Knative's template, where any difference is a
new revision; but those of ``spec.predictor.annotations`` win there. So a *shield* stands there: a
constant for every key that Laurel changes, with which the key itself can be changed freely.
"""

from typing import Any

from pipeline.kserve.json_patch import Json

SEQUENCE = "laurel.dev/sequence"
"""The highest sequence of a promotion that wrote here."""
DIGEST = "laurel.dev/digest"
"""``repository@sha256:…`` of what should be stable."""
CANARY = "laurel.dev/canary"
"""The same of the canary in flight; absent without one."""
MODEL = "laurel.dev/model"
"""``name/version`` of what should be stable."""
CANARY_MODEL = "laurel.dev/canary-model"
"""The same of the canary in flight."""
PERCENT = "laurel.dev/percent"
"""The share that Laurel gave the canary last, so that one given by hand is seen."""
HOLD = "laurel.dev/hold"
"""The hold as JSON; absent without one."""
FIELDS = "laurel.dev/fields"
"""JSON pointers to what laurel.yaml set here last, so that it can be taken out again."""
UNDO = "laurel.dev/undo"
"""What the change in flight replaced, as JSON; absent without one."""
AGAIN = "laurel.dev/again"
"""Among the predictor's annotations: which revision of the same was given up, so that Knative makes
another. It goes with the next image."""
MADE = "laurel.dev/made"
"""Stands on what Laurel created, from the beginning and for ever, so it needs no shield."""

SHIELDED = (SEQUENCE, DIGEST, CANARY, MODEL, CANARY_MODEL, PERCENT, HOLD, FIELDS, UNDO)
_SHIELD = "see the InferenceService"


def annotations_of(isvc: Json) -> dict[str, Any]:
    """Read the annotations; none: ``{}``."""
    return isvc.get("metadata", {}).get("annotations") or {}


def shielded(isvc: Json) -> bool:
    """Tell whether Laurel's annotations may change here without a new revision."""
    there = isvc.get("spec", {}).get("predictor", {}).get("annotations") or {}
    return all(there.get(key) == _SHIELD for key in SHIELDED)


def shield(isvc: Json) -> None:
    """Put the shield up, in place: only together with a new image, for it is a new revision."""
    there = isvc["spec"]["predictor"].setdefault("annotations", {})
    there.update(dict.fromkeys(SHIELDED, _SHIELD))
    there.pop(AGAIN, None)
