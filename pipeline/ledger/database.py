"""Open the ledger's database: SQLite in WAL with full sync; migrations; short transactions."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pipeline.errors import ConfigurationError, UnavailableError

_BUSY_SECONDS = 10.0


class Database:
    """A pool of connections with two kinds of transaction, reading and writing.

    Writers begin IMMEDIATE, so that two of them queue on SQLite's lock instead of failing in the
    middle; readers never block them (WAL).
    """

    def __init__(self, url: str) -> None:
        self.engine = _open(url)
        self._writer = self.engine.execution_options(laurel_begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Read one consistent state."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Write; committed with full sync when the context ends, or nothing of it is."""
        with _translated(), self._writer.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the schema to the newest version; nothing to do is fine."""
        with _translated(), self._writer.begin() as connection:
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def current(self) -> bool:
        """Tell whether the schema is the one this code was written for."""
        return self.revision() == ScriptDirectory.from_config(alembic_config()).get_current_head()

    def revision(self) -> str | None:
        """Read which schema this is; ``None`` where there is none."""
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    @staticmethod
    def knows(revision: str) -> bool:
        """Tell whether this code can bring that schema to the newest version."""
        scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
        return any(script.revision == revision for script in scripts)

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def file_of(url: str) -> Path:
    """Name the file of a ledger.

    Raises
    ------
    ConfigurationError
        For a URL that names no supported database.

    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"ledger: {url!r} is no database URL: {error}") from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise ConfigurationError(
            f"ledger: {parsed.render_as_string()!r} is not supported: write sqlite:///FILE"
        )
    return Path(parsed.database)


def _open(url: str) -> sa.Engine:
    path = file_of(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # where it cannot be made, SQLite says why
        path.touch(mode=0o600)  # its owner's alone; SQLite makes the files beside it alike
    engine = sa.create_engine(
        url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
    )
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DB-API connection
    connection.isolation_level = None  # SQLAlchemy begins, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("laurel_begin", "BEGIN"))


@contextmanager
def _translated() -> Iterator[None]:
    """Let only our errors out: a ledger that cannot be written is a neighbour that is away."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.TimeoutError) as error:
        raise UnavailableError(
            "use the ledger",
            str(getattr(error, "orig", error)),
            "free disk space or let the other writer finish; nothing was recorded",
        ) from error


def alembic_config() -> Config:
    """Tell Alembic where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
