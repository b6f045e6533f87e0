"""The receiver as a real process: killed in a burst, its disk full, its callers gone."""

import socket
import threading
from pathlib import Path

import urllib3

from pipeline.ledger import Ledger
from tests.benchmarks.load import burst, deliveries, wire
from tests.fakes.mlflow_webhook import SECRET, alias_event, deliver
from tests.servers.receiver import TOKEN, running_receiver


def recorded(file: Path) -> set[str]:
    ledger = Ledger(f"sqlite:///{file}")
    ids = {delivery.id for delivery in ledger.deliveries.unsettled()}
    ledger.close()
    return ids


def test_every_202_is_in_the_ledger_after_a_kill_in_the_middle_of_a_burst(tmp_path: Path) -> None:
    file = tmp_path / "laurel.db"
    requests = deliveries("kill", 5000)
    with running_receiver(file) as receiver:
        ledger = Ledger(f"sqlite:///{file}")

        def kill_when_some_are_stored() -> None:
            while len(ledger.deliveries.unsettled()) < 200:
                pass
            receiver.process.kill()

        killer = threading.Thread(target=kill_when_some_are_stored)
        killer.start()
        samples, _ = burst(receiver.port, requests, 32)
        killer.join()
        ledger.close()
    accepted = {f"kill-{sample.request}" for sample in samples if sample.status == 202}
    assert 0 < len(accepted) < len(requests), "the kill came in the middle"
    assert {sample.status for sample in samples} <= {202, 0}
    assert accepted <= recorded(file)
    assert SECRET not in file.read_bytes()


def test_a_restarted_receiver_knows_every_repeat(tmp_path: Path) -> None:
    file = tmp_path / "laurel.db"
    requests = deliveries("again", 50)
    for _ in range(2):
        with running_receiver(file) as receiver:
            samples, _ = burst(receiver.port, requests, 8)
        assert {sample.status for sample in samples} == {202}
    assert len(recorded(file)) == 50


def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "laurel.db"
    with running_receiver(file, largest_file=300 << 10) as receiver:
        samples, _ = burst(receiver.port, deliveries("full", 1500), 16)
    statuses = {sample.status for sample in samples}
    assert statuses == {202, 503}
    accepted = {f"full-{sample.request}" for sample in samples if sample.status == 202}
    assert accepted == recorded(file)


def test_a_caller_that_leaves_in_the_middle_stops_nobody(tmp_path: Path) -> None:
    with running_receiver(tmp_path / "laurel.db") as receiver:
        whole = wire(deliver(alias_event()))
        with socket.create_connection(("127.0.0.1", receiver.port)) as leaving:
            leaving.sendall(whole[:-10])
        samples, _ = burst(receiver.port, deliveries("after", 5), 1)
    assert [sample.status for sample in samples] == [202] * 5


def test_tools_read_over_http_what_a_delivery_left(tmp_path: Path) -> None:
    with running_receiver(tmp_path / "laurel.db") as receiver, urllib3.PoolManager() as http:
        burst(receiver.port, deliveries("seen", 3), 1)
        url = f"http://127.0.0.1:{receiver.port}"
        metrics = http.request("GET", f"{url}/metrics")
        assert 'laurel_deliveries{outcome="waiting"} 3' in metrics.data.decode()
        listed = http.request(
            "GET", f"{url}/services", headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert listed.json()["items"][0]["name"] == "fraud"
        evil = http.request("GET", f"{url}/services", headers={"host": "evil.example"})
        assert evil.status == 400
