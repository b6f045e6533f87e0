"""SLSA provenance v1 of Laurel's own image, made by Laurel's own layers."""

from dataclasses import dataclass
from typing import Any

from pipeline.domain.references import Digest
from pipeline.trust.statements import SLSA_PROVENANCE, Statement

BUILD_TYPE = "https://laurel.dev/build/own-image/v1"


@dataclass(frozen=True, slots=True)
class OwnProvenance:
    """What Laurel's own image was made of."""

    laurel_version: str
    repository: str
    platform: str
    builder_id: str
    base_digest: Digest
    lock_digest: Digest

    def statement(self, image: Digest, finished_on: str) -> Statement:
        """Say it about ``image``."""
        return Statement(
            image,
            SLSA_PROVENANCE,
            {
                "buildDefinition": self._definition(),
                "runDetails": {
                    "builder": {"id": self.builder_id, "version": {"laurel": self.laurel_version}},
                    "metadata": {"finishedOn": finished_on},
                },
            },
        )

    def said_in(self, statement: Statement) -> bool:
        """Tell whether a statement says the same, whenever the image was made."""
        return statement.predicate.get("buildDefinition") == self._definition()

    def _definition(self) -> dict[str, Any]:
        return {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "target": {"repository": self.repository},
                "platforms": [self.platform],
            },
            "resolvedDependencies": [
                {"name": "laurel", "uri": f"pkg:pypi/laurel@{self.laurel_version}"},
                {"name": "base-image", "digest": {"sha256": self.base_digest.hex}},
                {"name": "requirements.lock", "digest": {"sha256": self.lock_digest.hex}},
            ],
        }
