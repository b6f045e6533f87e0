"""How much memory the build step needs, by the size of the model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.image_models import make_model
from tests.benchmarks.image_place import Place
from tests.benchmarks.laurel_builds import Builds
from tests.benchmarks.plot import Plot
from tests.benchmarks.tables import Claim, claims_table

_MIB, _GB = 1 << 20, 10**9
LIMIT = 64 * _MIB
_FLAT = 1.1


@dataclass(frozen=True)
class Peak:
    """The most memory that any process held that built a model of this size."""

    size: int
    bytes: int


def peaks(
    builds: Builds, place: Place, sizes: tuple[int, ...], rounds: int, say: Callable[[str], None]
) -> list[Peak]:
    """Build ever larger models, each time in a fresh process."""
    found = []
    contender = builds.as_command("Laurel", "bench/grown")
    model = make_model(builds.cache.parent / "grown" / "model", 0)
    try:
        for size in sizes:
            model.grow(size)
            seen = []
            for _ in range(rounds):
                model.freshen()
                contender.push(model)
                place.forget()
                seen.append(builds.reports[-1]["peak"])
            found.append(Peak(size, max(seen)))
            say(f"{size / _GB:g} GB: {found[-1].bytes / _MIB:.1f} MiB")
    finally:
        model.weights.unlink()
    return found


def section(found: list[Peak], plot: Path | None) -> str:
    """Write what was seen, and the plot where it shall go."""
    drawn = _plot(found).to_svg()
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(drawn)
    first, last = found[0], found[-1]
    ratio = last.bytes / first.bytes
    what = f"peak memory, {_size(last)} model against {_size(first)} model"
    mine, other = (f"{peak.bytes / _MIB:.1f} MiB" for peak in (last, first))
    claim = Claim(what, mine, other, f"{ratio:.2f}x", f"≤ {_FLAT}x", ratio <= _FLAT)
    rows = "\n".join(f"| {_size(peak)} | {peak.bytes / _MIB:.1f} MiB |" for peak in found)
    return f"""### Peak memory by the size of the model

Fresh processes, folder to registry, each held most at (VmHWM):

| model | peak memory |
| --- | --- |
{rows}

{claims_table([claim])}"""


def _plot(found: list[Peak]) -> Plot:
    points = [(peak.size / _GB, peak.bytes / _MIB) for peak in found]
    return Plot(
        "Peak memory of building and pushing a model",
        "model size, GB",
        "MiB",
        points,
        LIMIT / _MIB,
        "allowed: 64 MiB",
    )


def _size(peak: Peak) -> str:
    return f"{peak.size / _GB:g} GB" if peak.size >= _GB else f"{peak.size / 10**6:g} MB"
