"""Tokens of people and programs, and which change each single-use one was spent on.

A token's text is nowhere here: of Laurel's own there is the SHA-256, of others' a mark that only
tells one from another.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.domain.access import Change, Grant, Role, SingleUse, in_order
from pipeline.errors import InvalidReferenceError
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.rows import moment, stamp

_MARK = "laurel"
_table = schema.tokens
_spent = schema.spent_tokens


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """One of Laurel's own tokens; ``id`` is part of its text, and no secret."""

    id: str
    name: str
    sha256: str
    grant: Grant
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """Say ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


def new_token(
    name: str, grant: Grant, created_at: datetime, expires_at: datetime | None
) -> tuple[str, IssuedToken]:
    """Make a token and its text, which is told once and kept nowhere."""
    id_ = secrets.token_hex(6)
    text = f"{_MARK}_{id_}_{secrets.token_urlsafe(32)}"
    return text, IssuedToken(id_, name, _sha256(text), grant, created_at, expires_at)


class Tokens:
    """Laurel's own tokens. Whoever may open the ledger may make one; no HTTP call does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: IssuedToken) -> None:
        """Record a token.

        Raises
        ------
        InvalidReferenceError
            Where one of its name still opens something: the record could not tell them apart.

        """
        with self._database.write() as connection:
            named = _select(connection, _table.c.name == token.name)
            if any(other.state(token.created_at) == "active" for other in named):
                raise InvalidReferenceError(
                    f"there is a token {token.name!r} already: give this one another name, or"
                    f" `laurel token revoke {token.name}` first"
                )
            connection.execute(sa.insert(_table).values(_row(token)))

    def list(self) -> list[IssuedToken]:
        """List every token that there ever was, oldest first."""
        with self._database.read() as connection:
            return _select(connection)

    def find(self, text: str) -> IssuedToken | None:
        """Find the token whose text this is, whatever has become of it since."""
        mark, _, rest = text.partition("_")
        if mark != _MARK:
            return None
        with self._database.read() as connection:
            found = _select(connection, _table.c.id == rest.partition("_")[0])
        # By its public id, then compared in constant time: how long it took tells nothing of it.
        fits = [each for each in found if hmac.compare_digest(each.sha256, _sha256(text))]
        return fits[0] if fits else None

    def get(self, id_: str) -> IssuedToken | None:
        """Find a token by its public id, whatever has become of it since."""
        with self._database.read() as connection:
            return next(iter(_select(connection, _table.c.id == id_)), None)

    def revoke(self, name: str, at: datetime) -> IssuedToken:
        """End a token.

        Raises
        ------
        InvalidReferenceError
            Where no token of that name opens anything any more.

        """
        with self._database.write() as connection:
            named = _select(connection, _table.c.name == name)
            active = [token for token in named if token.state(at) == "active"]
            if not active:
                raise InvalidReferenceError(
                    "no active token has that name: `laurel token list` shows them"
                )
            changed = sa.update(_table).where(_table.c.id == active[0].id)
            connection.execute(changed.values(revoked_at=stamp(at)))
        return active[0]


class SpentTokens:
    """Which change each single-use token was spent on, until it ends by itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def spend(self, token: SingleUse, change: str, at: datetime) -> Change | None:
        """Spend a token on a change, or find that it was; ``None`` where it was on another."""
        row = {"id": token.id, "change": change, "at": stamp(at), "until": stamp(token.until)}
        with self._database.write() as connection:
            connection.execute(sa.delete(_spent).where(_spent.c.until < stamp(at)))
            query = sa.select(_spent).where(_spent.c.id == token.id)
            before = connection.execute(query).mappings().first()
            if before is None:
                connection.execute(sa.insert(_spent).values(row))
        first = row if before is None else before
        if first["change"] != change:
            return None
        id_ = hashlib.sha256(f"{token.id} {change}".encode()).hexdigest()
        return Change(id_, datetime.fromisoformat(first["at"]))


def _select(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[IssuedToken]:
    query = sa.select(_table).where(*where).order_by(_table.c.created_at, _table.c.id)
    return [_token(row) for row in connection.execute(query).mappings()]


def _row(token: IssuedToken) -> dict[str, Any]:
    services = token.grant.services
    return {
        "id": token.id,
        "name": token.name,
        "sha256": token.sha256,
        "roles": [role.value for role in in_order(token.grant.roles)],
        "services": None if services is None else sorted(services),
        "created_at": stamp(token.created_at),
        "expires_at": None if token.expires_at is None else stamp(token.expires_at),
        "revoked_at": None if token.revoked_at is None else stamp(token.revoked_at),
    }


def _token(row: sa.RowMapping) -> IssuedToken:
    services = row["services"]
    grant = Grant(frozenset(map(Role, row["roles"])), services and frozenset(services))
    return IssuedToken(
        row["id"],
        row["name"],
        row["sha256"],
        grant,
        datetime.fromisoformat(row["created_at"]),
        moment(row["expires_at"]),
        moment(row["revoked_at"]),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
