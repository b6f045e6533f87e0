"""What a request becomes on its way: redirects, refusals, and who is waited for."""

from pathlib import Path

import pytest

from pipeline.distribution.credentials import Credentials
from pipeline.distribution.request import Request
from pipeline.distribution.transport import Transport
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from tests.servers.connect_proxy import running_connect_proxy
from tests.servers.faults import (
    Answer,
    CutResponse,
    redirect,
    too_many_requests,
)
from tests.servers.ports import free_ports
from tests.unit.distribution.scene import BLOB, MANIFEST, PULL, Scene


@pytest.mark.parametrize("status", [200, 202, 206, 304, 400, 404, 405, 412, 413, 416, 501])
def test_an_answer_with_a_meaning_is_lent_as_it_came(scene: Scene, status: int) -> None:
    body = b"" if status == 304 else b"said"
    scene.registry.fault(Answer(status, {"Content-Encoding": "gzip"}, body))
    with scene.transport.open(scene.request()) as response:
        assert (response.status, response.read()) == (status, body)


def test_a_request_says_that_it_is_laurels(scene: Scene) -> None:
    scene.ask(headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
    (heard,) = scene.registry.heard()
    assert heard.headers["user-agent"] == "laurel"
    assert heard.headers["accept"] == "application/vnd.oci.image.manifest.v1+json"
    assert heard.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_is_read_where_the_registry_says_without_credentials(
    scene: Scene, method: str, status: int
) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry")
    scene.ask()
    scene.registry.heal()
    scene.registry.fault(redirect(f"{scene.elsewhere.url}/store/x?signature=a%2Fb", status))
    scene.elsewhere.fault(Answer(200))
    assert scene.ask(method, headers={"Range": "bytes=7-"}) == 200
    (heard,) = scene.elsewhere.heard()
    assert (heard.method, heard.path) == (method, "/store/x?signature=a%2Fb")
    assert "authorization" not in heard.headers
    assert heard.headers["range"] == "bytes=7-"
    assert scene.shown()[-1] == "Basic ..."


def test_a_redirect_on_the_same_host_is_followed_with_credentials(scene: Scene) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry")
    scene.ask()
    scene.registry.heal()
    scene.registry.fault(redirect("/v2/ml/moved/manifests/champion"), path="/fraud/")
    scene.registry.fault(Answer(200), path="/moved/")
    assert scene.ask(target=MANIFEST) == 200
    assert scene.shown()[-2:] == ["Basic ...", "Basic ..."]


@pytest.mark.parametrize("target", [MANIFEST, "/v2/ml/fraud/tags/list", "/v2/ml/fraud/referrers/x"])
def test_what_is_no_blob_is_not_read_elsewhere(scene: Scene, target: str) -> None:
    scene.registry.fault(redirect(f"{scene.elsewhere.url}/v2/x?signature=secret"))
    with pytest.raises(PermanentError, match=r"redirects to another host, 127\.0\.0\.1") as caught:
        scene.ask(target=target)
    assert "secret" not in str(caught.value)
    assert scene.elsewhere.count() == 0


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("there", ["elsewhere", "registry"])
def test_nothing_that_writes_is_sent_on(scene: Scene, method: str, there: str) -> None:
    scene.registry.fault(redirect(f"{getattr(scene, there).url}/v2/x"))
    with pytest.raises(PermanentError, match="only reading is sent on"):
        scene.ask(method, body=lambda: [b"x"], size=1)
    assert (scene.elsewhere.count(), scene.registry.count()) == (0, 1)


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("", "yet another address, 5 times in a row"),
        ("http://storage.example.com/x?signature=secret", "storage.example.com without TLS"),
        ("ftp://storage.example.com/x", "an address that is no URL"),
        ("https://ada:secret@storage.example.com/x", "an address that is no URL"),
        ("https://[", "an address that is no URL"),
    ],
)
def test_a_redirect_that_leads_nowhere_good_is_refused(
    scene: Scene, location: str, what: str
) -> None:
    scene.registry.fault(redirect(location))
    with pytest.raises(PermanentError, match=what) as caught:
        scene.ask()
    assert "secret" not in str(caught.value)


def test_five_redirects_in_a_row_are_followed_and_a_sixth_is_not(scene: Scene) -> None:
    scene.registry.fault(redirect(BLOB), nth=range(1, 6))
    scene.registry.fault(Answer(200), nth=6)
    assert scene.ask() == 200
    scene.registry.heal()
    scene.registry.fault(redirect(BLOB), nth=range(1, 7))
    with pytest.raises(PermanentError, match="5 times in a row"):
        scene.ask()
    assert scene.registry.count() == 12


def test_a_store_that_refuses_is_told_from_the_registry(scene: Scene) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry")
    scene.ask()
    scene.registry.heal()
    scene.registry.fault(redirect(f"{scene.elsewhere.url}/x?signature=secret"))
    scene.elsewhere.fault(Answer(403, body=b"<Error>expired</Error>"))
    with pytest.raises(ForbiddenError) as caught:
        scene.ask()
    host, elsewhere = scene.registry.host, scene.elsewhere.host
    assert caught.value.hint == f"{elsewhere}, where {host} sends readers, answers 403"


def test_a_store_that_is_away_is_who_is_waited_for(scene: Scene) -> None:
    scene.registry.fault(redirect(f"{scene.elsewhere.url}/x"))
    scene.elsewhere.fault(Answer(502, body=b'{"errors": [{"code": "BUSY"}]}'))
    with pytest.raises(UnavailableError, match=r"answers 502 \(BUSY\)") as caught:
        scene.ask()
    assert caught.value.subject == scene.elsewhere.host


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/v2/x?token=secret",
        "//evil.example.com/v2/x?token=secret",
        "http://127.0.0.1:1/v2/x?token=secret",
    ],
)
def test_an_upload_goes_on_at_no_other_host(scene: Scene, target: str) -> None:
    with pytest.raises(PermanentError, match="redirects to another host") as caught:
        scene.ask("PATCH", target, body=lambda: [b"x"], size=1)
    assert "secret" not in str(caught.value)
    assert scene.registry.count() == 0


@pytest.mark.parametrize(
    "target", ["ftp://registry/x", "https://ada@registry/", "/v2/\r\nX: y", "/v2/\u00e9"]
)
def test_an_upload_goes_on_at_no_address_that_is_no_url(scene: Scene, target: str) -> None:
    with pytest.raises(PermanentError, match="is no URL"):
        scene.ask("PATCH", target)
    assert scene.registry.count() == 0


def test_a_registry_is_spoken_to_as_before_whatever_scheme_it_names(scene: Scene) -> None:
    assert scene.ask(target=f"https://{scene.registry.host}{BLOB}?state=x") == 404
    (heard,) = scene.registry.heard()
    assert heard.path == f"{BLOB}?state=x"


def test_a_host_that_is_none_is_refused(scene: Scene) -> None:
    request = Request("GET", "no host", "/v2/", PULL, "read", "x")
    with (
        pytest.raises(PermanentError, match="no host or the address"),
        scene.transport.open(request),
    ):
        pass


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\u00e9", "\x00"])
def test_no_header_is_smuggled_in(scene: Scene, value: str) -> None:
    with pytest.raises(PermanentError, match="no header may hold"):
        scene.ask("PUT", headers={"Content-Type": value})
    assert scene.registry.count() == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
@pytest.mark.parametrize("fault", [Answer(500), Answer(503), too_many_requests(), CutResponse()])
def test_what_is_harmless_to_repeat_is_sent_four_times(
    scene: Scene, method: str, fault: Answer | CutResponse
) -> None:
    if isinstance(fault, CutResponse):
        scene.registry.upstream = f"127.0.0.1:{free_ports(1)[0]}"
    scene.registry.fault(fault, nth=range(1, 4))
    scene.registry.fault(Answer(200))
    assert scene.ask(method) == 200
    assert scene.registry.count() == 4
    assert len(scene.waits) == 3


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
def test_what_carries_a_body_is_sent_once(scene: Scene, method: str) -> None:
    scene.registry.fault(Answer(503))
    with pytest.raises(UnavailableError) as caught:
        scene.ask(method, body=lambda: [b"x"], size=1)
    assert caught.value.subject == scene.registry.host
    assert scene.registry.count() == 1


def test_a_registry_that_is_away_is_waited_for_by_its_name(scene: Scene) -> None:
    host = f"127.0.0.1:{free_ports(1)[0]}"
    request = Request("GET", host, "/v2/", PULL, "read a manifest", "ml/fraud")
    with pytest.raises(UnavailableError) as caught, scene.transport.open(request):
        pass
    assert caught.value.subject == host
    assert caught.value.hint == "it does not answer (NewConnectionError)"
    assert len(scene.waits) == 3


def test_a_long_wait_is_left_to_who_is_patient(scene: Scene) -> None:
    scene.registry.fault(too_many_requests("3600"))
    with pytest.raises(RateLimitedError) as caught:
        scene.ask()
    assert (caught.value.retry_after, caught.value.subject) == (3600, scene.registry.host)
    assert (scene.registry.count(), scene.waits) == (1, [])


def test_a_short_wait_is_kept_until_it_becomes_a_long_one(scene: Scene) -> None:
    scene.registry.fault(Answer(503, {"Retry-After": "4"}))
    with pytest.raises(UnavailableError) as caught:
        scene.ask()
    assert caught.value.retry_after == 4
    assert scene.waits == [4.0, 4.0]


def test_a_body_that_is_not_as_long_as_announced_is_not_sent_to_its_end(scene: Scene) -> None:
    scene.registry.fault(Answer(201))
    for body, told in (([b"abc"], "3 of 5"), ([b"abc", b"def"], "more than 5")):
        with pytest.raises(CorruptedError, match=f"what is sent has {told} bytes"):
            scene.ask("PUT", body=lambda body=body: iter(body), size=5)
    assert all(note.status is None for note in scene.registry.heard())


def test_an_error_of_who_reads_the_body_is_not_the_registrys(scene: Scene) -> None:
    def vanished() -> list[bytes]:
        raise FileNotFoundError("model.bin")

    with pytest.raises(FileNotFoundError, match=r"model\.bin"):
        scene.ask("PUT", body=vanished, size=5)


def test_a_broken_pipe_of_who_reads_the_body_is_not_the_registrys(scene: Scene) -> None:
    def broken() -> list[bytes]:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        scene.ask("PUT", body=broken, size=5)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"registry\.ca_file: .*ca\.pem"):
        Transport(Credentials({}), ca_file=file)


@pytest.mark.parametrize("host", ["http://registry:5000", "registry/ml", "", "a b"])
def test_a_plain_host_that_is_none_is_named(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"registry\.plain_http: .* is no host"):
        Transport(Credentials({}), plain_http=[host])


@pytest.mark.parametrize("challenge", [True, False])
def test_a_registry_elsewhere_sends_nobody_to_this_machine(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, challenge: bool
) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    here = f"{scene.elsewhere.url}/latest/credentials"
    wants = Answer(401, {"WWW-Authenticate": f'Bearer realm="{here}"'})
    scene.registry.fault(wants if challenge else redirect(here))
    with running_connect_proxy(registry_example_com=scene.registry.host) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        transport = Transport(Credentials({}), plain_http=["registry.example.com"])
        request = Request("GET", "registry.example.com", BLOB, PULL, "read a layer", "ml/fraud")
        with (
            pytest.raises(PermanentError, match="which only this machine reaches"),
            transport.open(request),
        ):
            pass
        transport.close()
    assert scene.elsewhere.count() == 0
    assert scene.registry.count() == 1
