"""What tests of notices share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.receiving import Receiver, receiving
from tests.unit.promotion_scene import Scene, scene


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made
