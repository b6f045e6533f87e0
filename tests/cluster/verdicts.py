"""The table of bad canaries in docs/kserve.md: each row is what one test saw.

A test whose row is not there, or says something else, fails; with ``LAUREL_WRITE_DOCS=1`` it writes
the row first. Numbers are of one run on one machine: they are shown, and not compared.
"""

import os
import re
from dataclasses import dataclass

from pipeline.domain.promotion import Promotion
from tests.cluster.traffic import Answer, Traffic
from tests.servers.laurel import ROOT

PAGE = ROOT / "docs/kserve.md"
_BLOCK = re.compile(r"(?<=<!-- bad canaries -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
_HEAD = (
    "| canary | users' failed requests | its requests before the verdict | seconds to zero traffic "
    "| the promotion's reason |\n| --- | --- | --- | --- | --- |\n"
)


@dataclass(frozen=True)
class Verdict:
    """How a bad canary ended."""

    canary: str
    failed: int
    seen: int
    seconds: float
    reason: str

    @classmethod
    def of(cls, canary: str, promotion: Promotion, users: Traffic, looks: list[int]) -> "Verdict":
        """Sum a promotion up: what users had of it, and what the judge saw."""
        version = str(promotion.model.version)
        bad = sorted(answer.at for answer in users.answers if _touched(answer, version))
        return cls(
            canary,
            len(users.failed()),
            max(looks, default=0),
            bad[-1] - bad[0] if bad else 0.0,
            promotion.reason,
        )

    def documented(self, says: tuple[str, ...]) -> None:
        """Find this row in the page with what it says, or write it there where that was asked."""
        text = PAGE.read_text()
        found = _BLOCK.search(text)
        assert found is not None, f"{PAGE} has no place for the table"
        rows = {_canary(row): row for row in found[1].splitlines()[2:]}
        if os.environ.get("LAUREL_WRITE_DOCS"):
            rows[self.canary] = self._row()
            table = _HEAD + "".join(f"{row}\n" for row in rows.values())
            PAGE.write_text(text[: found.start()] + table + text[found.end() :])
        row = rows.get(self.canary, "")
        wrong = [each for each in says if each not in row]
        assert not wrong, f"{self.canary}: {wrong} not in {row!r}; LAUREL_WRITE_DOCS=1 writes it"

    def _row(self) -> str:
        reason = _without_names(self.reason).replace("|", "\\|")
        return f"| {self.canary} | {self.failed} | {self.seen} | {self.seconds:.1f} | {reason} |"


def _touched(answer: Answer, version: str) -> bool:
    return answer.version == version or answer.status != 200


def _canary(row: str) -> str:
    return row.split(" | ", maxsplit=1)[0].removeprefix("| ")


def _without_names(reason: str) -> str:
    """Shorten what differs at each run: digests, and the letters that pods' names end with."""
    reason = re.sub(r"(sha256:[0-9a-f]{8})[0-9a-f]{56}", r"\1…", reason)
    return re.sub(r"(-deployment)-[a-z0-9]+(-[a-z0-9]{5})?", r"\1-…", reason)
