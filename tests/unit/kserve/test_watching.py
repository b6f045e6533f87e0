"""A watch never misses the final state, whatever breaks."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ForbiddenError, RateLimitedError, UnavailableError
from pipeline.kserve import watching
from pipeline.kserve.api_errors import Asked
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.resources import INFERENCE_SERVICES
from pipeline.kserve.watching import Snapshot, Watching
from tests.contract.door_scenarios import percent, service
from tests.fakes.kserve_webhook import Webhook
from tests.fakes.kubernetes_api import ApiServer
from tests.fakes.kubernetes_status import ISVC, too_many_requests
from tests.fakes.kubernetes_store import Store

Json = dict[str, Any]


@pytest.fixture
def api() -> Iterator[ApiServer]:
    store = Store()
    store.prepare = Webhook().prepare
    server = ApiServer(store)
    server.start()
    made = service("fraud")
    made["metadata"]["namespace"] = "ml"
    store.create(ISVC, made)
    yield server
    server.stop()


@pytest.fixture
def cluster(api: ApiServer, tmp_path: Path) -> Cluster:
    return connect(kubeconfig=api.kubeconfig(tmp_path), context=None, namespace="ml")


def _shift(api: ApiServer, to: int) -> None:
    api.store.patch(ISVC, "ml", "fraud", percent(to))


def _percent(found: Json | None) -> int | None:
    assert found is not None
    said: int | None = found["spec"]["predictor"].get("canaryTrafficPercent")
    return said


def test_a_change_between_reading_and_watching_is_not_missed(
    api: ApiServer, cluster: Cluster
) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    assert _percent(next(events)) is None
    _shift(api, 10)
    assert _percent(next(events)) == 10
    assert cluster.calls["list", "inferenceservices"] == 1


@pytest.mark.parametrize("as_status", [True, False], ids=["as a status", "as an event"])
def test_a_version_that_is_forgotten_is_followed_by_reading_again(
    api: ApiServer, cluster: Cluster, *, as_status: bool
) -> None:
    api.gone_as_status = as_status
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    next(events)
    _shift(api, 10)
    _shift(api, 20)
    api.store.compact()
    assert _percent(next(events)) == 20
    assert cluster.calls["list", "inferenceservices"] == 2


@pytest.mark.parametrize("trouble", ["break", "expire"])
def test_a_watch_that_ends_in_the_middle_goes_on(
    api: ApiServer, cluster: Cluster, trouble: str
) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    next(events)
    api.at_watch = [lambda: api.order(trouble), lambda: _shift(api, 10)]
    assert _percent(next(events)) == 10


def test_a_bookmark_is_no_change(api: ApiServer, cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    next(events)
    api.at_watch = [lambda: api.order("bookmark"), lambda: api.order("break")]
    threading.Timer(0.1, _shift, (api, 10)).start()
    assert _percent(next(events)) == 10


def test_an_api_server_that_restarts_is_waited_for(api: ApiServer, cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    next(events)
    api.stop()
    _shift(api, 10)
    api.store.compact()
    back = threading.Timer(0.3, api.start)
    back.start()
    assert _percent(next(events)) == 10
    back.join()


def test_an_api_server_that_is_away_at_the_end_is_told(api: ApiServer, cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=0.5)
    next(events)
    api.stop()
    with pytest.raises(UnavailableError, match="does not answer"):
        next(events)


def test_a_connection_that_says_nothing_any_more_is_noticed(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_SLICE", 1)
    monkeypatch.setattr(watching, "_GRACE", 0.1)
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    next(events)
    api.silent = True
    _shift(api, 10)
    assert _percent(next(events)) == 10
    api.silent = False
    api.store.poke()


def test_a_watch_goes_on_after_its_slice_of_time(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_SLICE", 1)
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    next(events)
    api.at_watch = [lambda: None, lambda: _shift(api, 10)]
    assert _percent(next(events)) == 10
    assert cluster.calls["watch", "inferenceservices"] == 2


def test_a_watch_ends_in_time_however_much_changes(api: ApiServer, cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=0.5)
    for number, _ in enumerate(events):
        _shift(api, number % 100)


def test_what_changed_last_is_given_before_the_end(api: ApiServer, cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=0.2)
    next(events)
    api.at_watch = [lambda: api.order("break"), lambda: api.order("break")]
    _shift(api, 30)
    assert [_percent(now) for now in events][-1] == 30


def test_an_object_that_is_made_anew_is_another_one(api: ApiServer, cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    first = next(events)
    api.store.delete(ISVC, "ml", "fraud")
    made = service("fraud")
    made["metadata"]["namespace"] = "ml"
    api.store.create(ISVC, made)
    assert next(events) is None
    again = next(events)
    assert first is not None
    assert again is not None
    assert first["metadata"]["uid"] != again["metadata"]["uid"]


class _Scripted:
    """A source that gives versions, and streams as they were written down."""

    def __init__(self, reads: Sequence[int | Exception], streams: list[list[bytes]]) -> None:
        self.asked = Asked("watch on Kubernetes", "inferenceservices ml/fraud", "here")
        self.waits: list[float] = []
        self._reads = iter(reads)
        self._streams = iter(streams)

    def read(self) -> Snapshot:
        found = next(self._reads)
        if isinstance(found, Exception):
            raise found
        return Snapshot(_version(found), str(found))

    @contextmanager
    def stream(self, version: str, seconds: int, silence: float) -> Iterator[Iterator[bytes]]:
        assert version
        assert silence > seconds
        yield iter(next(self._streams, []))

    def follow(self) -> Iterator[Json | None]:
        return Watching(self, 3600, pause=self.waits.append).changes()


def _version(number: int) -> Json:
    return {"metadata": {"uid": "u", "resourceVersion": str(number)}}


def _line(type_: str, number: int) -> bytes:
    return json.dumps({"type": type_, "object": _version(number)}).encode() + b"\n"


def test_whoever_ends_watches_early_is_asked_less_and_less_often() -> None:
    source = _Scripted([1] * 9 + [2], [])
    events = source.follow()
    assert next(events) == _version(1)
    assert next(events) == _version(2)
    assert source.waits == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]


def test_news_make_patience_new() -> None:
    source = _Scripted([1, 1, 1, 4], [[], [], [_line("MODIFIED", 3)]])
    events = source.follow()
    assert [next(events), next(events), next(events)] == [_version(n) for n in (1, 3, 4)]
    assert source.waits == [0.0, 0.25, 0.0]


def test_a_server_that_asks_for_time_gets_it() -> None:
    source = _Scripted([RateLimitedError("a", "b", "c", retry_after=3.0), 1], [])
    assert next(source.follow()) == _version(1)
    assert source.waits == [3.0]


def test_what_more_time_does_not_mend_is_raised() -> None:
    with pytest.raises(ForbiddenError):
        next(_Scripted([ForbiddenError("a", "b", "c")], []).follow())


@pytest.mark.parametrize(
    "stream",
    [
        [b"<html>\n"],
        [b"[]\n"],
        [b'{"type": "MODIFIED"}\n'],
        [b'{"type": "MODIFIED", "object": {"met'],
        [b"[" * 100_000 + b"\n"],
        [b'{"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "no"}}\n'],
        [b'{"type": "ERROR", "object": {"kind": "Status", "code": "x"}}\n'],
        [b'{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "old"}}\n'],
    ],
    ids=["a page", "a list", "no object", "half", "too deep", "500", "no code", "410"],
)
def test_what_is_no_event_is_followed_by_reading_again(stream: list[bytes]) -> None:
    source = _Scripted([1, 2], [stream])
    events = source.follow()
    assert [next(events), next(events)] == [_version(1), _version(2)]


def test_an_endless_line_is_the_end_of_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LONGEST_LINE", 10)
    source = _Scripted([1, 2], [[b"x" * 11, b"x" * 11]])
    events = source.follow()
    assert [next(events), next(events)] == [_version(1), _version(2)]


def test_events_may_come_in_any_pieces() -> None:
    whole = _line("BOOKMARK", 2) + b"\n" + _line("MODIFIED", 3) + _line("DELETED", 4)
    source = _Scripted([1], [[whole[at : at + 7] for at in range(0, len(whole), 7)]])
    events = source.follow()
    assert [next(events), next(events), next(events)] == [_version(1), _version(3), None]


def test_too_many_requests_are_waited_out(api: ApiServer, cluster: Cluster) -> None:
    api.refusals = [too_many_requests(0)]
    assert _percent(next(cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60))) is None
