"""What many units need: a folder and a ledger of their own."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.ledger import Ledger
from tests.unit.ledgers import open_ledger
from tests.unit.memory import folder_in_memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Lend a folder in memory, in the place of pytest's on a disk."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Lend an empty ledger, laurel.db in the test's folder."""
    with closing(open_ledger(tmp_path)) as opened:
        yield opened
