"""Kubernetes' rules for names and amounts, checked before a cluster sees them.

KServe's webhooks check few of them, Knative's check them when the InferenceService was changed
already, which freezes it (testbed.md 5): so they are checked where laurel.yaml is read.
"""

import re
from fractions import Fraction

from pipeline.errors import InvalidReferenceError

_AMOUNT = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[0-9]{1,2})?"
)
_FACTORS = (
    {"m": Fraction(1, 1000), "": Fraction(1)}
    | {letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)}
    | {f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)}
)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST_SUBDOMAIN = 253
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

RESERVED_ENV = {
    **dict.fromkeys(("PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"), "Knative"),
    **dict.fromkeys(("INFERENCE_SERVICE_NAME", "PROTOCOL", "STORAGE_URI"), "KServe"),
    "PYTHONPATH": "Laurel's images",  # and KServe refuses it
}
"""Variables that nobody may set, and whose they are; so is everything that begins ``LAUREL_``."""


def parse_quantity(text: str) -> Fraction:
    """Read an amount as Kubernetes writes it: ``500m``, ``1``, ``0.5``, ``512Mi``, ``2Gi``."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InvalidReferenceError(
            f"{text[:40]!r} is no Kubernetes quantity: write 500m, 1, 512Mi or 2Gi"
        )
    number, unit = Fraction(match[1]), match[2] or ""
    if unit[:1] == "e":
        return number * Fraction(10 ** int(unit[1:]))
    return number * _FACTORS[unit]


def require_object_name(name: str) -> str:
    """Return ``name`` if a secret, a service account or a namespace can have it, else raise."""
    if not _is_subdomain(name):
        raise InvalidReferenceError(
            f"{name[:80]!r} is no name of a Kubernetes object: use lower-case letters, digits, - ."
        )
    return name


def require_qualified_name(name: str) -> str:
    """Return ``name`` if it is a label's key or a resource: ``nvidia.com/gpu``; else raise."""
    prefix, slash, word = name.rpartition("/")
    if not _WORD.fullmatch(word) or (slash and not _is_subdomain(prefix)):
        raise InvalidReferenceError(
            f"{name[:80]!r} is no Kubernetes key: write NAME or DOMAIN/NAME, as nvidia.com/gpu"
        )
    return name


def require_label_value(value: str) -> str:
    """Return ``value`` if a label can have it, else raise."""
    if value and not _WORD.fullmatch(value):
        raise InvalidReferenceError(
            f"{value[:80]!r} is no value of a Kubernetes label: letters, digits, - _ . up to 63"
        )
    return value


def require_secret_key(key: str) -> str:
    """Return ``key`` if a secret can hold it, else raise."""
    if not _SECRET_KEY.fullmatch(key):
        raise InvalidReferenceError(
            f"{key[:80]!r} is no key of a Kubernetes secret: letters, digits, - _ ."
        )
    return key


def require_variable(name: str) -> str:
    """Return ``name`` if a service may set that environment variable, else raise."""
    if not _VARIABLE.fullmatch(name):
        raise InvalidReferenceError(
            f"{name[:80]!r} is no variable's name: use letters, digits and _, no digit first"
        )
    owner = "Laurel" if name.startswith("LAUREL_") else RESERVED_ENV.get(name)
    if owner is not None:
        raise InvalidReferenceError(f"{name} is set by {owner}: choose another name")
    return name


def require_namespace(name: str) -> str:
    """Return ``name`` if a namespace can have it, else raise."""
    if not _LABEL.fullmatch(name):
        raise InvalidReferenceError(
            f"{name[:80]!r} is no name of a namespace: use a DNS label (lower-case letters, "
            "digits, -)"
        )
    return name


def _is_subdomain(name: str) -> bool:
    return len(name) <= _LONGEST_SUBDOMAIN and _SUBDOMAIN.fullmatch(name) is not None
