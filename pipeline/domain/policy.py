"""Rules that a model version and an image must meet, as values; no switch turns one off (law 6)."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError, InvalidReferenceError

_COMPARE = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
}
_THRESHOLD = re.compile(
    r"\s*(>=|>|<=|<|==)\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*\Z"
)
_SHOWN = 10  # metrics of a run that has many


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Whose signature counts, and what provenance has to say.

    Parameters
    ----------
    keys
        Public keys in PEM; any one of them will do, so that a key can be rotated.
    builder_id
        The one builder whose provenance is believed (SLSA ``builder.id``): this Laurel's.
    registry_url
        URL of the MLflow registry that the model must come from, without credentials: provenance
        publishes it.

    Raises
    ------
    ConfigurationError
        When there is no key (nothing could ever be verified), or the URL carries credentials.

    """

    keys: tuple[bytes, ...]
    builder_id: str
    registry_url: str

    def __post_init__(self) -> None:
        if not self.keys:
            raise ConfigurationError(
                "the trust policy names no public key: set signing.key, or run `laurel keys create`"
            )
        if urlsplit(self.registry_url).username is not None:
            raise ConfigurationError(
                "mlflow.url carries credentials, which provenance would publish:"
                " set LAUREL_MLFLOW__USERNAME and LAUREL_MLFLOW__PASSWORD instead"
            )


def unmet_tags(required: Mapping[str, str], actual: Mapping[str, str]) -> tuple[str, ...]:
    """Say which of ``require.tags`` a model version does not meet, one clause per tag, sorted.

    A tag is met by exactly its required value; MLflow's tags are strings, and case matters.
    """
    return tuple(
        f"tag {tag} is {_shown(actual.get(tag))}, required is {_shown(value)}"
        for tag, value in sorted(required.items())
        if actual.get(tag) != value
    )


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a metric must be: ``>= 0.90``."""

    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a sign and a number.

        Raises
        ------
        InvalidReferenceError
            For anything else.

        """
        found = _THRESHOLD.match(text)
        if found is None:
            raise InvalidReferenceError(
                f"{text[:80]!r} is no threshold: write >= 0.90, or one of > <= < =="
            )
        return cls(found[1], float(found[2]))

    def met_by(self, value: float) -> bool:
        """Compare; what is no number (NaN) meets nothing."""
        met: bool = _COMPARE[self.sign](value, self.limit)
        return met


def unmet_metrics(required: Mapping[str, str], actual: Mapping[str, float]) -> tuple[str, ...]:
    """Say which of ``require.metrics`` a run does not meet, one clause per metric, sorted."""
    return tuple(
        f"metric {name} is {_number(name, actual)}, required is {wanted}"
        for name, wanted in sorted(required.items())
        if name not in actual or not Threshold.parse(wanted).met_by(actual[name])
    )


def _number(name: str, actual: Mapping[str, float]) -> str:
    if name in actual:
        return f"{actual[name]:g}"
    there = sorted(actual)
    more = ", …" if len(there) > _SHOWN else ""
    return f"not there (the run has {', '.join(there[:_SHOWN]) or 'none'}{more})"


def _shown(value: str | None) -> str:
    return "not set" if value is None else repr(value[:80])
