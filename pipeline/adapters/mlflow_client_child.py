"""Reads artifact stores with MLflow's own client, for one parent, over its standard streams.

Run as a file by :mod:`pipeline.adapters.mlflow_client_process`, of whose package nothing is
imported here: each line on standard input is a question as JSON, each line on standard output its
answer. It ends with its parent, and when nobody has asked for a minute.
"""

import json
import os
import queue
import resource
import shutil
import socket
import sys
import tempfile
import threading
from typing import Any

_IDLE = 60.0  # seconds
_STALLED = 120.0  # seconds without a byte, for clients that set no limit of their own
_SPARE = 1 << 20  # bytes that the client may write beside a small file: its own caches


def main() -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    socket.setdefaulttimeout(_STALLED)
    folder = tempfile.gettempdir()  # the parent made it, and nothing else is in it
    questions: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(questions, folder), daemon=True).start()
    try:
        while True:
            answer = _answer(json.loads(questions.get(timeout=_IDLE)), folder)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    except queue.Empty:
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listen(questions: "queue.Queue[bytes]", folder: str) -> None:
    for line in sys.stdin.buffer:
        questions.put(line)
    shutil.rmtree(folder, ignore_errors=True)  # the parent is gone: so is whoever wants the file
    os._exit(0)


def _answer(question: dict[str, Any], folder: str) -> dict[str, Any]:
    try:
        return _done(question, folder)
    except Exception as error:  # noqa: BLE001 - any library's; told to the parent without its text
        return {"failed": _told(error)}


def _done(question: dict[str, Any], folder: str) -> dict[str, Any]:
    from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415 - slow
        get_artifact_repository,
        get_registered_artifact_repositories,
    )

    uri = question["uri"]
    if uri.partition(":")[0].lower() not in get_registered_artifact_repositories():
        return {"failed": {"kinds": ["UnknownScheme"]}}
    store = get_artifact_repository(uri)
    if "path" not in question:
        return _listing(store, question["deepest"], question["most"])
    _limit(question["size"])
    kept = tempfile.mkdtemp(dir=folder)
    try:
        _fetch(store, question["path"], f"{kept}/file")
    except BaseException:
        shutil.rmtree(kept, ignore_errors=True)
        raise
    return {"file": f"{kept}/file"}  # the parent opens and removes it


def _fetch(store: Any, path: str, file: str) -> None:  # noqa: ANN401 - any plug-in's
    """Call what every store implements; ``download_artifacts`` would hide what went wrong."""
    store._download_file(path, file)  # noqa: SLF001 - MLflow names it so, for plug-ins


def _listing(store: Any, deepest: int, most: int) -> dict[str, Any]:  # noqa: ANN401 - any plug-in's
    """List every file below the root, as far as a model may go and one further."""
    _limit(0)
    files: list[tuple[str, int | None]] = []
    folders: list[str | None] = [None]
    while folders and len(files) <= most:
        folder = folders.pop()
        for entry in store.list_artifacts(folder):
            if not entry.is_dir:
                files.append((entry.path, entry.file_size))
            elif entry.path.count("/") < deepest:
                folders.append(entry.path)
            else:
                return {"endless": True}
    return {"files": files[: most + 1]}


def _limit(size: int) -> None:
    """Let no file become longer than one that was listed; writing on is an error then."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + _SPARE, hard))


def _told(error: BaseException) -> dict[str, Any]:
    """Tell an error by its classes and numbers; its text may hold a credential."""
    answered = getattr(error, "response", None)
    status = getattr(answered, "status_code", getattr(error, "status_code", None))
    code = getattr(error, "code", None) if status is None else status
    reply = str(error)[:3]  # how FTP begins its errors
    return {
        "kinds": [each.__name__ for each in type(error).__mro__],
        "status": int(code) if isinstance(code, int) else None,
        "reply": int(reply) if reply.isdecimal() else None,
        "errno": getattr(error, "errno", None),
        "missing": getattr(error, "name", None) if isinstance(error, ImportError) else None,
    }


if __name__ == "__main__":
    main()
