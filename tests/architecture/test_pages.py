"""What the documentation says of the program is what the program says of itself."""

import pytest

from tests.architecture.pages import DOCS, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_the_program_writes_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run `make docs`"
