"""A secret that Laurel makes itself is made once, whole, and for its owner alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.settings.rotation import made_once


def test_many_who_need_it_at_once_get_the_same_secret(tmp_path: Path) -> None:
    file, together = tmp_path / "approvals.secret", threading.Barrier(8)

    def make(_number: int) -> bytes:
        together.wait()
        return made_once(file)

    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(make, range(8)))
    assert len(secrets) == 1
    assert secrets == {file.read_bytes().strip()}
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_secret_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "approvals.secret").write_text("written by a person\n")
    assert made_once(tmp_path / "approvals.secret") == b"written by a person"


def test_where_it_cannot_be_kept_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="write a secret of 32 random bytes there"):
        made_once(tmp_path / "gone" / "approvals.secret")
