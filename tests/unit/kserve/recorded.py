"""What a real cluster said, as values; ``tests/fixtures/kserve`` says of which versions."""

import json
from pathlib import Path
from typing import Any

from pipeline.kserve.inference import InferenceService
from pipeline.kserve.revisions import Revision

FOLDER = Path(__file__).parents[2] / "fixtures" / "kserve"
Json = dict[str, Any]


def recorded(moment: str) -> Json:
    found: Json = json.loads((FOLDER / f"{moment}.json").read_text())
    return found


def service(moment: str) -> InferenceService:
    return InferenceService.parse(recorded(moment)["isvc"])


def revisions(moment: str) -> list[Revision]:
    return [Revision.parse(one) for one in recorded(moment)["revisions"]]
