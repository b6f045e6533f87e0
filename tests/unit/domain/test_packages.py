"""Two sets of packages, side by side."""

from pipeline.domain.packages import moved, pins


def test_pins_are_read_out_of_locks_and_requirements() -> None:
    lock = ["numpy==2.0.1 \\", "    --hash=sha256:ab", "Scikit_Learn[x]==1.9 ; extra", "# n==1"]
    assert pins(lock) == {"numpy": "2.0.1", "scikit-learn": "1.9"}
    assert pins(["numpy>=2", "", "-e ."]) == {}


def test_what_comes_goes_and_changes_is_a_line_each() -> None:
    before, after = {"a": "1", "b": "1", "d": "1"}, {"b": "2", "c": "3", "d": "1"}
    assert moved(before, after) == ("- a 1", "  b 1 -> 2", "+ c 3")
    assert moved(before, before) == ()
