import sys
from pathlib import Path

import pytest

from pipeline.demo import mlflow_server
from pipeline.demo.mlflow_server import wait_until_answering
from pipeline.demo.processes import Child
from pipeline.errors import PermanentError

_SERVER = """
import http.server
class Late(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Late.asked += 1
        self.send_response(200 if Late.asked > 2 else 503)
        self.end_headers()
with http.server.HTTPServer(("127.0.0.1", 0), Late) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


def test_a_server_is_waited_for_until_it_is_healthy(tmp_path: Path) -> None:
    child = Child("late", [sys.executable, "-c", _SERVER], tmp_path, talks=True)
    try:
        wait_until_answering(child, f"http://127.0.0.1:{int(child.hear())}/health")
    finally:
        child.stop()
    assert tail_of(child).count("GET /health") == 3


def tail_of(child: Child) -> str:
    return child.log.read_text()


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    last_words = [sys.executable, "-c", "raise SystemExit('no such database')"]
    child = Child("mlflow", last_words, tmp_path)
    with pytest.raises(PermanentError, match=r"mlflow.*it ended:\nno such database"):
        wait_until_answering(child, "http://127.0.0.1:9/health")
    child.stop()


def test_a_server_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_server, "_WITHIN", 0.0)
    child = Child("mlflow", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path)
    with pytest.raises(PermanentError, match="it does not answer after 0 s"):
        wait_until_answering(child, "http://127.0.0.1:9/health")
    child.stop()
