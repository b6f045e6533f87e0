"""The scene of most tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.distribution.scene import Scene
from tests.unit.distribution.scene import scene as started


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Lend a registry that answers 404 until a test wants something else."""
    with started(tmp_path) as scene:
        yield scene
