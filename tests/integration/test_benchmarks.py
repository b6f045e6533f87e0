"""The benchmarks run and write what they saw; no figure is judged here."""

from pathlib import Path

from tests.benchmarks.__main__ import main


def test_the_benchmarks_run_with_tiny_numbers(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    main(["--small", "--results", str(results)])
    written = results.read_text()
    assert "SQLite" in written
    receiver = next(line for line in written.splitlines() if "| 100.0% |" in line)
    assert receiver.startswith("| Laurel")
    assert receiver.endswith("| 50 | 0 |"), "fifty acknowledged, fifty stored, none lost"
    assert "| same version again, up to and including `recall`: requests to the registry | 1 |" in (
        written
    )
    assert "| into another repository of the registry: bytes of blobs sent | 0 |" in written
    for state in ("nothing runs", "held", "in the midst of a canary", "in the midst of a rollback"):
        row = next(line for line in written.splitlines() if line.startswith(f"| {state} | 1 |"))
        assert row.split("|")[-3].strip() == "0", "no request failed"
    assert "`docker build`, `docker push` | absent: left out" in written, "named, not dropped"
