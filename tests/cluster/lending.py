"""One cluster for all workers of a test run: the first brings it up, the last takes it down.

A cluster that was up before is used and left as it is. What a run that was killed has left is
taken down by the next run, or by ``python -m tests.cluster tidy``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.stack.building import build_everything
from tests.cluster.stack.place import Place, kept_folder
from tests.cluster.stack.whole import Whole
from tests.cluster.turns import unused, use
from tests.servers.go_tools import alone


@contextmanager
def lent() -> Iterator[Whole]:
    """Use the cluster of this machine, together with others."""
    whole = Whole(Place())
    kept_folder().mkdir(parents=True, exist_ok=True)
    with use(_users()):
        with alone(_lock()):
            if not whole.stands():
                _ours().touch()
                build_everything()
                whole.up()
        yield whole
    tidy()


def tidy() -> None:
    """Take down what tests brought up, once nobody uses it."""
    if not _ours().exists():
        return
    with alone(_lock()):
        if unused(_users()):
            Whole(Place()).down()
            for file in (_ours(), _users(), _lock()):
                file.unlink(missing_ok=True)


def _ours() -> Path:
    return kept_folder() / "cluster-of-tests"


def _users() -> Path:
    return kept_folder() / "cluster-of-tests.users"


def _lock() -> Path:
    return kept_folder() / "cluster-of-tests.lock"
