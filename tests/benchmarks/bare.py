"""The peer: the barest FastAPI route that commits one row with full sync before it answers.

No signature, no JSON, no de-duplication. ``python -m tests.benchmarks.bare FILE thread|loop``:
the commit happens in a worker thread, or on the event loop, which is faster and stops all else.
"""

import asyncio
import sqlite3
import sys

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from tests.servers.receiver import serve


def bare_app(database: sqlite3.Connection, *, in_thread: bool) -> FastAPI:
    app = FastAPI()
    lock = asyncio.Lock()

    def insert(body: bytes) -> None:
        database.execute("INSERT INTO rows (body) VALUES (?)", (body,))

    @app.post("/webhooks/mlflow", status_code=202)
    async def row(request: Request) -> Response:
        body = await request.body()
        if in_thread:
            async with lock:  # one connection, one writer
                await asyncio.to_thread(insert, body)
        else:
            insert(body)
        return JSONResponse({"stored": True}, 202)

    return app


def main() -> None:
    database = open_database(sys.argv[1])
    serve(bare_app(database, in_thread=sys.argv[2] == "thread"))
    database.close()


def open_database(file: str) -> sqlite3.Connection:
    """Open in the ledger's mode: WAL, full sync, each statement its own transaction."""
    database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    ):
        database.execute(statement)
    return database


if __name__ == "__main__":
    main()
