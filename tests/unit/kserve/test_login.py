"""Logging in to an API server as kubectl does, and what a login never gives away."""

import json
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    PermanentError,
    UnavailableError,
)
from pipeline.kserve.api_errors import Asked
from pipeline.kserve.api_server import Call
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.login import LoggedIn
from pipeline.kserve.resources import PODS
from tests.fakes.kubernetes_api import ApiServer
from tests.fakes.kubernetes_store import Store
from tests.servers.certificates import Certificate, private_certificate
from tests.servers.connect_proxy import running_connect_proxy
from tests.servers.scripted import scripted_server

Json = dict[str, Any]
SECRET = "a-secret-token"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer(Store(), tokens={SECRET: "me"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return private_certificate(tmp_path)


@pytest.fixture
def tls(certificate: Certificate) -> Iterator[ApiServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server = ApiServer(Store(), tokens={SECRET: "me"}, tls=context)
    server.start()
    yield server
    server.stop()


def _write(path: Path, user: Json, **cluster: object) -> Path:
    users = [{"name": "me", "user": user}, {"name": "nobody", "user": {"token": "wrong"}}]
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mine",
        "contexts": [
            {"name": "mine", "context": {"cluster": "here", "user": "me"}},
            {"name": "theirs", "context": {"cluster": "here", "user": "nobody"}},
        ],
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": users,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    return path


def _asks(cluster: Cluster) -> bool:
    return cluster.list(PODS) == []


def _connect(path: Path | None, context: str | None = None) -> Cluster:
    return connect(kubeconfig=path, context=context, namespace="ml")


def test_a_kubeconfig_logs_in_with_its_current_context(api: ApiServer, tmp_path: Path) -> None:
    path = _write(tmp_path / "config", {"token": SECRET}, server=api.url)
    assert _asks(_connect(path))
    assert _asks(_connect(path, "mine"))
    with pytest.raises(ForbiddenError, match="renew the login"):
        _asks(_connect(path, "theirs"))


def test_the_environment_names_a_kubeconfig(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _write(tmp_path / ".kube/config", {"token": SECRET}, server=api.url)
    assert _asks(_connect(None))
    elsewhere = _write(tmp_path / "elsewhere", {"token": "wrong"}, server=api.url)
    monkeypatch.setenv("KUBECONFIG", str(elsewhere))
    with pytest.raises(ForbiddenError):
        _asks(_connect(None))


def test_a_pod_logs_in_as_its_service_account_whose_token_is_renewed(
    tls: ApiServer, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    module = "kubernetes.config.incluster_config"
    monkeypatch.setattr(f"{module}.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(f"{module}.SERVICE_CERT_FILENAME", str(certificate.ca_file))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(tls.port))
    cluster = _connect(None)
    assert _asks(cluster)
    tls.tokens = {"another-token": "me"}
    token.write_text("another-token")
    assert _asks(cluster)
    assert cluster.calls["list", "pods"] == 3
    token.write_text("")
    tls.tokens = {}
    with pytest.raises(ForbiddenError, match="cannot be read any more"):
        _asks(cluster)


def test_a_pod_without_a_token_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConfigurationError, match="token file does not exist"):
        _connect(None)


def test_a_token_in_a_file_is_read_again_when_it_was_renewed(
    api: ApiServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    cluster = _connect(_write(tmp_path / "config", {"tokenFile": str(token)}, server=api.url))
    assert _asks(cluster)
    api.tokens = {"another-token": "me"}
    with pytest.raises(ForbiddenError):
        _asks(cluster)
    token.write_text("another-token")
    assert _asks(cluster)


def test_a_login_program_is_run_and_run_again_when_its_token_is_not_accepted(
    api: ApiServer, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.write_text(SECRET)
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib, sys\n"
        f"token = pathlib.Path({str(given)!r}).read_text()\n"
        "api = 'client.authentication.k8s.io/v1'\n"
        "said = {'kind': 'ExecCredential', 'apiVersion': api, 'status': {'token': token}}\n"
        "print(json.dumps(said))\n"
    )
    exec_ = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(program)],
    }
    cluster = _connect(_write(tmp_path / "config", {"exec": exec_}, server=api.url))
    assert _asks(cluster)
    api.tokens = {"another-token": "me"}
    given.write_text("another-token")
    assert _asks(cluster)


def test_a_certificate_that_is_not_trusted_is_no_passing_trouble(
    tls: ApiServer, certificate: Certificate, tmp_path: Path
) -> None:
    trusted = _write(
        tmp_path / "good",
        {"token": SECRET},
        server=tls.url,
        **{"certificate-authority": str(certificate.ca_file)},
    )
    assert _asks(_connect(trusted))
    unknown = _write(tmp_path / "bad", {"token": SECRET}, server=tls.url)
    with pytest.raises(PermanentError, match=r"certificate of .* is not trusted") as refused:
        _asks(_connect(unknown))
    assert type(refused.value) is PermanentError


def test_what_speaks_no_tls_is_unavailable(api: ApiServer, tmp_path: Path) -> None:
    path = _write(tmp_path / "config", {}, server=api.url.replace("http:", "https:"))
    with pytest.raises(UnavailableError):
        _asks(_connect(path))


def test_a_token_follows_no_redirect(tmp_path: Path) -> None:
    with scripted_server() as script:
        script.says(302, {}, Location=f"{script.url}/elsewhere")
        path = _write(tmp_path / "config", {"token": SECRET}, server=script.url)
        with pytest.raises(PermanentError, match="302"):
            _asks(_connect(path))
        assert len(script.heard) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("{}", "current-context"),
        ("[]", "serving.kubeconfig"),
        ("- a: [", "serving.kubeconfig"),
        ('{"current-context": "a", "contexts": 3}', "serving.kubeconfig"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as refused:
        _connect(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("server", ["", "ftp://here", "https://", "not an address"])
def test_a_server_s_address_that_is_none_is_named(tmp_path: Path, server: str) -> None:
    with pytest.raises(ConfigurationError, match="`server`"):
        _connect(_write(tmp_path / "config", {}, server=server))


def test_no_login_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="no login for Kubernetes was found"):
        _connect(None)
    with pytest.raises(ConfigurationError, match="missing"):
        _connect(tmp_path / "missing")


def test_without_the_library_the_way_to_get_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'laurel\[kserve\]'"):
        _connect(tmp_path / "config")


def test_credentials_in_an_address_are_in_no_message(tmp_path: Path) -> None:
    server = f"http://me:{SECRET}@127.0.0.1:1"
    cluster = _connect(_write(tmp_path / "config", {"token": SECRET}, server=server))
    with pytest.raises(UnavailableError) as refused:
        _asks(cluster)
    assert "127.0.0.1:1" in str(refused.value)
    for shown in (str(refused.value), repr(refused.value), repr(cluster), repr(vars(cluster))):
        assert SECRET not in shown


def test_a_proxy_is_shown_its_credentials_and_spared_what_it_should_not_carry(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"api.example.com:80": f"127.0.0.1:{api.port}"}
    remote = _write(tmp_path / "remote", {"token": SECRET}, server="http://api.example.com")
    local = _write(tmp_path / "local", {"token": SECRET}, server=api.url)
    with running_connect_proxy(**there) as proxy:
        proxy.hosts |= {"api.example.com": f"127.0.0.1:{api.port}"}
        proxy.authorization = "Basic bWU6cHc="
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://me:pw@"))
        assert _asks(_connect(remote))
        assert _asks(_connect(local))
        assert len(proxy.heard) == 1
        monkeypatch.setenv("NO_PROXY", "example.com")
        with pytest.raises(UnavailableError):
            _asks(_connect(remote))
        assert len(proxy.heard) == 1


def test_a_kubeconfig_may_name_its_own_proxy(api: ApiServer, tmp_path: Path) -> None:
    with running_connect_proxy() as proxy:
        proxy.hosts |= {"api.example.com": f"127.0.0.1:{api.port}"}
        where = {"server": "http://api.example.com", "proxy-url": proxy.url}
        assert _asks(_connect(_write(tmp_path / "config", {"token": SECRET}, **where)))
        assert len(proxy.heard) == 1
    wrong = {"server": "http://api.example.com", "proxy-url": "socks5://127.0.0.1:1"}
    with pytest.raises(ConfigurationError, match="proxy-url"):
        _connect(_write(tmp_path / "config", {}, **wrong))


class _Expired:
    def param_serialize(self, *_: object, **__: object) -> None:
        from kubernetes.config import ConfigException  # noqa: PLC0415 - heavy

        raise ConfigException("Token file exists but empty.")


def test_a_token_that_cannot_be_renewed_now_may_be_later() -> None:
    call = Call("GET", "/api/v1", (), ("list", "pods"), Asked("list", "pods", "here"))
    with pytest.raises(UnavailableError, match="cannot be renewed"):
        LoggedIn("https://here", _Expired()).send(call, (1, 1))
