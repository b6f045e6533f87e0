"""Settings become neighbours; what they cannot become is said before anything starts."""

from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.kserve_serving import KServeServing
from pipeline.adapters.local_runner import LocalRunner
from pipeline.adapters.local_serving import LocalServing
from pipeline.adapters.pod_runner import PodRunner
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.errors import ConfigurationError
from pipeline.image.config import host_platform
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.settings.secrets import read_secret
from pipeline.trust.key_file import create_key_file
from tests.fakes.asgi import Client


def settings(folder: Path, text: str = "", **environment: str) -> Settings:
    path = folder / "laurel.yaml"
    path.write_text(text)
    return load_settings(path, environment)


def test_images_go_into_a_layout_folder_by_default(tmp_path: Path) -> None:
    wiring.open_images(settings(tmp_path))
    assert (tmp_path / "images" / "oci-layout").is_file()


def test_images_go_to_the_registry_that_the_settings_name(tmp_path: Path) -> None:
    found = settings(tmp_path, "registry: {location: registry.example.com/ml}")
    assert isinstance(wiring.open_images(found), RemoteRegistry)
    assert not (tmp_path / "images").exists()


def test_a_private_authority_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    text = "registry: {location: registry.example.com/ml, ca_file: ca.pem}"
    with pytest.raises(ConfigurationError, match=r"registry\.ca_file: .*/ca\.pem"):
        wiring.open_images(settings(tmp_path, text))


@pytest.mark.parametrize("how", ["a variable", "a file"])
def test_the_keys_password_comes_from_a_variable_or_a_file(tmp_path: Path, how: str) -> None:
    key = create_key_file(tmp_path / "laurel.key", "a password")
    if how == "a file":
        (tmp_path / "laurel.key.password").write_text("a password\n")
        made = wiring.signer(settings(tmp_path))
    else:
        made = wiring.signer(settings(tmp_path, LAUREL_SIGNING__PASSWORD="a password"))
    assert made.key_id == key.public.key_id


def test_without_a_password_it_says_where_one_is_looked_for(tmp_path: Path) -> None:
    create_key_file(tmp_path / "laurel.key", "a password")
    with pytest.raises(ConfigurationError, match="LAUREL_SIGNING__PASSWORD"):
        wiring.signer(settings(tmp_path, "signing: {password_file: null}"))
    with pytest.raises(ConfigurationError, match="`laurel init` writes one"):
        wiring.signer(settings(tmp_path))


def test_the_public_key_may_be_all_that_a_verifier_has(tmp_path: Path) -> None:
    key = create_key_file(tmp_path / "laurel.key", "a password")
    found = settings(tmp_path, LAUREL_SIGNING__PASSWORD="a password")
    with_private = wiring.trust_policy(found)
    (tmp_path / "laurel.key").unlink()
    assert wiring.trust_policy(found) == with_private
    assert with_private.keys == (key.public.pem,)


def test_without_the_public_file_the_policy_has_the_private_keys_public_half(
    tmp_path: Path,
) -> None:
    key = create_key_file(tmp_path / "laurel.key", "a password")
    (tmp_path / "laurel.pub").unlink()
    found = settings(tmp_path, LAUREL_SIGNING__PASSWORD="a password")
    assert wiring.trust_policy(found).keys == (key.public.pem,)


@pytest.mark.parametrize("content", ["", "\n", "x" * 5000])
def test_a_secret_is_neither_empty_nor_endless(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(ConfigurationError, match="secret of 1 to 4096 bytes"):
        read_secret(tmp_path / "secret", "`laurel init`")


def test_where_model_code_cannot_be_isolated_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wiring.serving, "why_no_isolation", lambda: "user namespaces are switched off"
    )
    found = settings(tmp_path)
    ledger = wiring.open_ledger(found)
    with pytest.raises(ConfigurationError, match="switched off; run as root, allow user"):
        wiring.build_worker(found, ledger)
    ledger.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LAUREL_MLFLOW__TOKEN": "hunter2"},
        {"LAUREL_MLFLOW__USERNAME": "ada", "LAUREL_MLFLOW__PASSWORD": "hunter2"},
        {"LAUREL_MLFLOW__USERNAME": "ada"},
    ],
    ids=["nobody", "a token", "a password", "a name alone"],
)
def test_mlflow_is_asked_with_the_credentials_of_the_environment(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    create_key_file(tmp_path / "laurel.key", "a password")
    found = settings(
        tmp_path,
        f"worker: {{cache: {tmp_path}/cache}}\nserving: {{isolation: none}}",
        LAUREL_SIGNING__PASSWORD="a password",
        **environment,
    )
    ledger = wiring.open_ledger(found)
    worker = wiring.build_worker(found, ledger)
    assert "hunter2" not in repr(vars(worker))
    ledger.close()


def test_the_cache_is_the_users_unless_settings_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ada")
    assert wiring.cache_folder(settings(tmp_path)) == Path("/var/cache/ada/laurel")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert wiring.cache_folder(settings(tmp_path)) == Path.home() / ".cache/laurel"
    assert wiring.cache_folder(settings(tmp_path, "worker: {cache: here}")) == tmp_path / "here"


@pytest.mark.parametrize(("host", "name"), [("::1", "[::1]"), ("Laurel.Example", "laurel.example")])
def test_the_host_header_may_be_the_address_that_it_listens_at(
    tmp_path: Path, host: str, name: str
) -> None:
    found = settings(tmp_path, f"server: {{host: '{host}', allowed_hosts: [laurel.corp]}}")
    assert {name, "localhost", "127.0.0.1", "laurel.corp"} <= wiring._names(found.server)


KSERVE = """
registry: registry.example.com/ml
serving: {{target: kserve, namespace: ml, kubeconfig: kubeconfig{more}}}
metrics: {{source: {source}, url: "http://counts:9000"}}
"""


def of_cluster(folder: Path, more: str = "", source: str = "envoy", **environment: str) -> Settings:
    (folder / "kubeconfig").write_text(
        "{apiVersion: v1, kind: Config, current-context: c,"
        " contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}],"
        " users: [{name: u, user: {token: t}}]}"
    )
    more = more and f", {more}"
    found = settings(folder, KSERVE.format(more=more, source=source), **environment)
    worker = found.worker.model_copy(update={"cache": folder / "cache"})
    return found.model_copy(update={"worker": worker})


def serving(found: Settings) -> wiring.serving.Serving:
    return wiring.serving.build_serving(found, wiring.open_images(found))


@pytest.fixture
def _isolating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring.serving, "why_no_isolation", lambda: None)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.mark.usefixtures("_isolating")
def test_a_service_on_this_machine_is_tried_deployed_and_counted_here(tmp_path: Path) -> None:
    made = serving(settings(tmp_path, f"worker: {{cache: {tmp_path}/cache}}"))
    assert isinstance(made.target, LocalServing)
    assert isinstance(made.runner, LocalRunner)
    assert isinstance(made.metrics, EnvoyMetrics)


@pytest.mark.usefixtures("_isolating")
def test_a_service_on_a_cluster_is_tried_here_and_counted_at_its_gateway(tmp_path: Path) -> None:
    made = serving(of_cluster(tmp_path))
    assert isinstance(made.target, KServeServing)
    assert isinstance(made.runner, LocalRunner)
    assert isinstance(made.metrics, GatewayMetrics)
    assert made.target.platforms("fraud") == {host_platform()}
    assert isinstance(wiring.build_target(of_cluster(tmp_path)), KServeServing)


@pytest.mark.usefixtures("_isolating")
def test_prometheus_counts_where_the_settings_say_so(tmp_path: Path) -> None:
    found = of_cluster(tmp_path, source="prometheus", LAUREL_METRICS__TOKEN="hunter2")
    made = serving(found)
    assert isinstance(made.metrics, PrometheusMetrics)
    assert "hunter2" not in repr(vars(made.metrics))


def test_the_nodes_platforms_are_what_the_settings_say(tmp_path: Path) -> None:
    found = of_cluster(tmp_path, "platforms: [linux/arm64], smoke: pod")
    assert wiring.build_target(found).platforms("fraud") == {"linux/arm64"}


def test_an_image_is_tried_in_a_pod_where_the_settings_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring.serving, "why_no_isolation", lambda: "this is a pod")
    assert isinstance(serving(of_cluster(tmp_path, "smoke: pod")).runner, PodRunner)
    with pytest.raises(ConfigurationError, match="this is a pod; run as root"):
        serving(of_cluster(tmp_path, "smoke: sandbox"))


def test_an_image_is_tried_in_a_pod_where_laurel_lives_in_one_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    where = of_cluster(tmp_path).serving
    for chosen, in_pods in (
        ({"kubeconfig": None}, True),
        ({}, False),
        ({"kubeconfig": None, "context": "c"}, False),
        ({"kubeconfig": None, "smoke": "sandbox"}, False),
    ):
        assert wiring.serving._in_pods(where.model_copy(update=chosen)) is in_pods


def test_a_cluster_that_nobody_can_log_in_to_is_told_at_once(tmp_path: Path) -> None:
    found = of_cluster(tmp_path)
    (tmp_path / "kubeconfig").unlink()
    with pytest.raises(ConfigurationError, match=r"serving\.kubeconfig .*/kubeconfig"):
        wiring.build_target(found)


def test_going_down_is_for_what_stands_on_this_machine(tmp_path: Path) -> None:
    assert isinstance(wiring.build_local_target(settings(tmp_path)), LocalServing)
    with pytest.raises(ConfigurationError, match="kubectl delete inferenceservice NAME -n ml"):
        wiring.build_local_target(of_cluster(tmp_path))


def test_the_receiver_shows_what_services_are_deployed_to(tmp_path: Path) -> None:
    token = "a token of forty letters, made by laurel"
    (tmp_path / "laurel.token").write_text(token)
    of_cluster(tmp_path)
    text = (tmp_path / "laurel.yaml").read_text()
    found = settings(tmp_path, f"{text}\nservices: [{{name: fraud, model: m}}]")
    ledger = wiring.open_ledger(found)
    with Client(wiring.build_receiver(found, ledger)) as client:
        shown = client.call("GET", "/services/fraud", token=token).json()
    ledger.close()
    assert (shown["name"], shown["target"]) == ("fraud", "kserve")
