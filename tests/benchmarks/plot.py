"""A small line plot as SVG, written by hand: readable on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 40, 52
_STYLE = """\
.page { fill: #ffffff }
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.grid { stroke: #8c959f; stroke-opacity: .35 }
.limit { stroke: #cf222e; stroke-dasharray: 6 4 }
.line { fill: none; stroke: #0969da; stroke-width: 2.5 }
.point { fill: #0969da }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 }
  text { fill: #e6edf3 }
  .limit { stroke: #ff7b72 }
  .line { stroke: #58a6ff }
  .point { fill: #58a6ff }
}"""


@dataclass(frozen=True)
class Plot:
    """Points on two axes that begin at nought, and a line that none of them may cross.

    Parameters
    ----------
    title, x_label, y_label
        What is shown, in which units.
    points
        By rising x.
    limit, limit_label
        The line, and what it means.

    """

    title: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float]]
    limit: float
    limit_label: str

    def to_svg(self) -> str:
        """Draw it."""
        page = f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>'
        body = [page, self._title(), *self._grid(), *self._limit(), *self._line()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{escape(self.title)}">\n<style>\n{_STYLE}\n</style>\n'
            + "\n".join(body)
            + "\n</svg>\n"
        )

    def _title(self) -> str:
        return _text(_LEFT, 22, self.title, "title")

    def _grid(self) -> list[str]:
        bottom, middle = self._y(0), (_LEFT + _WIDTH - _RIGHT) / 2
        drawn = [_text(middle, _HEIGHT - 10, self.x_label, anchor="middle")]
        drawn.append(_text(_LEFT, _TOP - 2, self.y_label, anchor="end"))
        for value in _ticks(self._top):
            y = self._y(value)
            drawn.append(_rule("grid", (_LEFT, y), (_WIDTH - _RIGHT, y)))
            drawn.append(_text(_LEFT - 8, y + 4, f"{value:g}", anchor="end"))
        below = _ticks(self._widest)
        return drawn + [_text(self._x(n), bottom + 20, f"{n:g}", anchor="middle") for n in below]

    def _limit(self) -> list[str]:
        y = self._y(self.limit)
        rule = _rule("limit", (_LEFT, y), (_WIDTH - _RIGHT, y))
        return [rule, _text(_WIDTH - _RIGHT, y - 6, self.limit_label, anchor="end")]

    def _line(self) -> list[str]:
        places = [(self._x(x), self._y(y)) for x, y in self.points]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn = [f'<polyline class="line" points="{joined}"/>']
        for (x, y), (_, value) in zip(places, self.points, strict=True):
            drawn.append(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
            drawn.append(_text(x, y - 10, f"{value:.0f}", anchor="middle"))
        return drawn

    @property
    def _top(self) -> float:
        return 1.15 * max(self.limit, *(y for _, y in self.points))

    @property
    def _widest(self) -> float:
        return 1.03 * max(x for x, _ in self.points)

    def _x(self, value: float) -> float:
        return _LEFT + value / self._widest * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self._top * (_HEIGHT - _TOP - _BOTTOM)


def _ticks(largest: float) -> list[float]:
    """Divide an axis into four to ten parts of 1, 2 or 5 times a power of ten."""
    step = 10.0**-6
    factors = (2.0, 2.5, 2.0)
    turn = 0
    while largest / step > 10:
        step *= factors[turn % 3]
        turn += 1
    return [step * n for n in range(int(largest / step) + 1)]


def _rule(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    chosen = f' class="{kind}"' if kind else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text{chosen} {place}>{escape(said)}</text>"
