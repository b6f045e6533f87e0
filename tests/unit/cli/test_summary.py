"""How it went, as Markdown."""

from pathlib import Path

import pytest

from pipeline.cli.output import Table
from pipeline.cli.summary import markdown
from pipeline.domain.promotion import Phase
from tests.unit.cli.conftest import FIRST, NOW, SECOND, Served, laurel


def test_a_table_is_markdown_and_what_others_wrote_stays_text() -> None:
    table = Table(("what", "is"), [("reason", "<b>|x|</b> [a](b) `c` @ada\n# d"), ("image", None)])
    assert markdown(table).splitlines() == [
        "| what | is |",
        "| --- | --- |",
        r"| reason | &lt;b&gt;\|x\|&lt;/b&gt; \[a\]\(b\) \`c\` &#64;ada \# d |",
        r"| image | \- |",
    ]


def test_a_summary_has_the_promotion_with_its_steps(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_text("before\n\n")
    served.promoted(1, FIRST)
    served.promoted(2, SECOND)
    assert laurel("rollback", "fraud", "--summary", str(file)).exit_code == 0
    (of,) = [p for p in served.ledger.promotions.page().items if p.kind == "rollback"]
    served.ledger.events.append(of.id, NOW, "step_started", {"name": "verify", "attempt": 1})
    served.ledger.promotions.change(of.id, phase=Phase.SUCCEEDED, image=FIRST, ended_at=NOW)
    again = laurel("rollback", "fraud", "--summary", str(file))
    assert again.exit_code == 0
    text = file.read_text()
    assert text.startswith("before\n\n### fraud: rollback pending\n\n| what | is |\n")
    assert "### fraud: rollback succeeded" in text
    assert "| verify | running |" in text


def test_a_no_is_in_the_summary_too(served: Served, tmp_path: Path) -> None:
    assert served.url
    file = tmp_path / "summary.md"
    assert laurel("rollback", "fraud", "--summary", str(file)).exit_code == 1
    assert file.read_text().startswith("### refused\n\nNothing served before")


@pytest.mark.parametrize("verb", [["rollback", "fraud"], ["promote", "fraud-scorer/1"]])
def test_a_summary_that_cannot_be_written_is_said(served: Served, verb: list[str]) -> None:
    served.promoted(1, FIRST)
    served.promoted(2, SECOND)
    result = laurel(*verb, "--summary", "nowhere/summary.md")
    assert result.exit_code == 2
    assert "name another --summary" in result.stderr
