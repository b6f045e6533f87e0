"""One look after another; what cannot be seen behind a fault is not guessed at."""

from collections.abc import Iterator

from pipeline.doctor.finding import Finding, bad, ok, warn
from pipeline.doctor.looks import Look, broken, looked
from pipeline.errors import ConfigurationError, UnavailableError


def test_what_stands_behind_a_fault_is_not_looked_at() -> None:
    def breaks() -> Iterator[Finding]:
        yield ok("a", "it answers")
        raise UnavailableError("read", "MLflow", "start it")

    found = looked(
        [
            Look("a", breaks),
            Look("b", lambda: [bad("b", "never seen", "")], after="a"),
            Look("c", lambda: [bad("c", "nor this", "")], after="b"),
            Look("d", lambda: [warn("d", "slower", "mend it")]),
            Look("e", lambda: [ok("e", "fine")], after="d"),
        ]
    )
    assert list(found) == [
        ok("a", "it answers"),
        bad("a", "could not read (MLflow)", "start it"),
        warn("d", "slower", "mend it"),
        ok("e", "fine"),
    ]


def test_an_error_is_told_as_what_is_so_and_what_to_do() -> None:
    told = [
        (ConfigurationError("no password; write one"), ("no password", "write one")),
        (ConfigurationError("/a: is a folder: name a file"), ("/a: is a folder", "name a file")),
        (ConfigurationError("no idea"), ("no idea", "mend laurel.yaml")),
    ]
    for error, (what, fix) in told:
        assert broken("key", error) == bad("key", what, fix)
