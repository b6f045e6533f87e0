"""A model version as MLflow's registry tells it."""

from dataclasses import dataclass, field

from pipeline.domain.references import ModelVersion


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One version of a registered model, with where its files lie.

    ``artifact_uri`` comes from ``get-download-uri``: resolved when the version was made, so copies
    still work after their source was renamed (MLflow's ``sqlalchemy_store``).
    """

    model: ModelVersion
    run_id: str | None
    model_id: str | None
    source: str
    artifact_uri: str
    tags: dict[str, str] = field(default_factory=dict)
