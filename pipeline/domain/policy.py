"""Rules that a model version and an image must meet, as values; no switch turns one off (law 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError


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


def _shown(value: str | None) -> str:
    return "not set" if value is None else repr(value[:80])
