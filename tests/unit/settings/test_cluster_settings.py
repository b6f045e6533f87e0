"""Settings for a cluster: what Kubernetes, KServe and Knative would refuse is refused at once."""

from pathlib import Path

import pytest

from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.pods import Drift, PodPlan, Probe
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.settings.load import load_settings

KSERVE = """
registry: registry.example.com/ml
serving: {target: kserve, namespace: ml}
metrics: {source: envoy, url: "http://gateway:9000"}
"""


def load(folder: Path, text: str, **environment: str) -> Settings:
    path = folder / "laurel.yaml"
    path.write_text(text)
    return load_settings(path, environment)


def service(folder: Path, said: str, head: str = KSERVE) -> Plan:
    text = f"{head}\nservices:\n  - {{name: fraud, model: m, {said}}}\n"
    return load(folder, text).plans()["fraud"]


def test_a_cluster_is_named_by_its_namespace_and_the_rest_has_defaults(tmp_path: Path) -> None:
    serving = load(tmp_path, KSERVE).serving
    assert (serving.target, serving.namespace) == ("kserve", "ml")
    assert (serving.kubeconfig, serving.context, serving.gateway) == (None, None, None)
    assert (serving.smoke, serving.smoke_namespace) == (None, "laurel-smoke")


def test_every_key_of_a_cluster_is_read(tmp_path: Path) -> None:
    serving = load(
        tmp_path,
        """
        registry: registry.example.com/ml
        serving:
          target: kserve
          namespace: ml
          kubeconfig: ./kubeconfig
          context: prod
          gateway: http://10.0.0.1:8080/
          platforms: [linux/amd64, linux/arm64/v8]
          max_timeout: 15m
          smoke: pod
          smoke_namespace: trials
          smoke_limits: {cpu: 1, memory: 2Gi}
        metrics: {source: prometheus, url: "https://prometheus.example.com", ca_file: ca.pem}
        """,
    ).serving
    assert serving.kubeconfig == tmp_path / "kubeconfig"
    assert (serving.context, serving.gateway) == ("prod", "http://10.0.0.1:8080")
    assert serving.platforms == ("linux/amd64", "linux/arm64/v8")
    assert serving.max_timeout == 900
    assert serving.smoke_limits == {"cpu": "1", "memory": "2Gi"}


def test_a_service_says_how_its_pods_run(tmp_path: Path) -> None:
    plan = service(
        tmp_path,
        """
        resources: {cpu: 500m, memory: 1Gi},
        accelerators: {nvidia.com/gpu: 1},
        service_account: models,
        pull_secrets: [regcred],
        node_selector: {disk: fast},
        probe: {period: 1s, timeout: 3, initial_delay: 10s, failure_threshold: 2},
        timeout: 30s,
        progress_deadline: 5m,
        replicas: {min: 0, max: 4},
        adopt: true,
        drift: heal,
        rollback: {keep_warm: 10m},
        env: [{name: REGION, value: eu}, {name: KEY, secretRef: {name: keys, key: api}}]
        """,
    )
    amounts = {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
    assert plan.pods == PodPlan(
        requests=amounts,
        limits=amounts,
        service_account="models",
        pull_secrets=("regcred",),
        node_selector={"disk": "fast"},
        probe=Probe(1, 3, 10, 2),
        timeout=30,
        progress_deadline=300,
        min_replicas=0,
        max_replicas=4,
        keep_warm=600,
        adopt=True,
        drift=Drift.HEAL,
    )
    assert plan.env == (EnvVar("REGION", "eu"), EnvVar("KEY", None, "keys", "api"))


def test_what_a_service_does_not_say_is_left_as_it_is(tmp_path: Path) -> None:
    assert service(tmp_path, "alias: champion").pods == PodPlan()


@pytest.mark.parametrize(
    ("said", "requests", "limits"),
    [
        ("{cpu: 2}", {"cpu": "2"}, {"cpu": "2"}),
        ("{cpu: 0.5}", {"cpu": "0.5"}, {"cpu": "0.5"}),
        (
            "{requests: {cpu: 500m}, limits: {cpu: 2, memory: 1Gi}}",
            {"cpu": "500m", "memory": "1Gi"},
            {"cpu": "2", "memory": "1Gi"},
        ),
        ("{requests: {memory: 4Gi}}", {"memory": "4Gi"}, {"memory": "4Gi"}),
    ],
)
def test_what_requests_or_limits_alone_name_both_have_so_that_kserve_fills_nothing_in(
    tmp_path: Path, said: str, requests: dict[str, str], limits: dict[str, str]
) -> None:
    pods = service(tmp_path, f"resources: {said}").pods
    assert (pods.requests, pods.limits) == (requests, limits)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("resources: {cpu: 500mm}", "'500mm' is no Kubernetes quantity: write 500m"),
        ("resources: {cpu: true}", "resources.cpu: Input should be a valid string"),
        ("resources: {memory: 512m}", "memory 512m is less than a MiB: write 512Mi"),
        ("resources: {cpu: 1, limits: {cpu: 2}}", "write cpu and memory, or requests and limits"),
        (
            "resources: {requests: {cpu: 2}, limits: {cpu: 500m}}",
            "requests.cpu 2 is more than its limit 500m",
        ),
        ("resources: {limits: {a/b/c: 1}}", "'a/b/c' is no Kubernetes key"),
        ("resources: {cpus: 1}", "resources.cpus: unknown key, did you mean cpu?"),
        ("accelerators: {nvidia.com/gpu: 0}", "greater than or equal to 1"),
        ("accelerators: {nvidia.com/gpu: 0.5}", "valid integer"),
        ("service_account: Models", "'Models' is no name of a Kubernetes object"),
        ("pull_secrets: [a_b]", "'a_b' is no name of a Kubernetes object"),
        ("node_selector: {disk: a b}", "'a b' is no value of a Kubernetes label"),
        ("node_selector: {-disk: a}", "'-disk' is no Kubernetes key"),
        ("probe: {period: 0}", "probe.period: Input should be greater than or equal to 1"),
        ("probe: {period: 500ms}", "'500ms' is no whole number of seconds"),
        ("probe: {periods: 1}", "did you mean period?"),
        ("probe: {failure_threshold: 0}", "failure_threshold"),
        ("timeout: 0", "timeout: Input should be greater"),
        ("timeout: 11m", "services.fraud.timeout: 660 s is longer than the cluster's longest, 600"),
        ("progress_deadline: 0s", "progress_deadline: Input should be greater"),
        ("replicas: {min: 3, max: 2}", "replicas: min 3 is more than max 2"),
        ("replicas: {min: -1}", "replicas.min: Input should be greater"),
        ("replicas: {minimum: 1}", "did you mean min?"),
        ("rollback: {keep_warm: 2h}", "for 1m at least and 1h at most: write 0 or 1m to 1h"),
        ("rollback: {keep_warm: 30s}", "for 1m at least"),
        ("drift: ignore", "drift: Input should be 'report', 'heal' or 'adopt'"),
        ("adopt: maybe", "adopt: Input should be a valid boolean"),
        ("env: [{name: PORT, value: '1'}]", "PORT is set by Knative: choose another name"),
        ("env: [{name: STORAGE_URI, value: '1'}]", "STORAGE_URI is set by KServe"),
        ("env: [{name: A}]", "A: write either value or secretRef"),
        ("env: [{name: A, value: x, secretRef: {name: s, key: k}}]", "either value or secretRef"),
        ('env: [{name: A, value: "a\\0b"}]', "A: a value cannot hold a zero byte"),
        ("env: [{name: A, value: x}, {name: A, value: y}]", "env: each variable may stand once"),
        ("env: [{name: A, secretRef: {name: s, kee: k}}]", "kee: unknown key, did you mean key?"),
        ("env: [{name: A, secretRef: {name: s, key: a/b}}]", "is no key of a Kubernetes secret"),
        ("env: [{name: A, secret_ref: {name: s, key: k}}]", "did you mean secretRef?"),
        ("canary: {steps: [0]}", "greater than or equal to 1"),
        ("canary: {steps: [101]}", "less than or equal to 99"),
        ("repository: localhost:5000/m", "localhost:5000 is each node's own, which has no regis"),
        ("repository: '[::1]:5000/m'", "is each node's own"),
        ("repository: r.localhost:80/m", "is each node's own"),
    ],
)
def test_a_mistake_that_a_cluster_would_find_too_late_is_named(
    tmp_path: Path, said: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        service(tmp_path, said)
    assert message in str(raised.value)


def test_a_name_that_leaves_no_room_for_kserves_own_parts_is_refused(tmp_path: Path) -> None:
    long = "f" * 47
    with pytest.raises(ConfigurationError, match=f"services.{long}.name: 47 letters"):
        load(tmp_path, f"{KSERVE}\nservices: [{{name: {long}, model: m}}]")
    load(tmp_path, f"{KSERVE}\nservices: [{{name: {long[:46]}, model: m}}]")


def test_a_longer_timeout_may_be_set_where_the_cluster_allows_it(tmp_path: Path) -> None:
    head = KSERVE.replace("namespace: ml", "namespace: ml, max_timeout: 1h")
    assert service(tmp_path, "timeout: 1h", head).pods.timeout == 3600


def test_a_registry_of_the_nodes_own_is_taken_where_it_is_said_that_they_reach_it(
    tmp_path: Path,
) -> None:
    head = KSERVE.replace(
        "registry: registry.example.com/ml",
        "registry: {location: 127.0.0.1:5000/ml, plain_http: ['127.0.0.1:5000']}",
    )
    assert service(tmp_path, "alias: champion", head).repository == "127.0.0.1:5000/ml/m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serving: kserve", "serving: target kserve needs namespace"),
        ("serving: {target: kserve, namespace: a.b}", "is no name of a namespace"),
        ("serving: {target: kserve, namespace: ml, port: 1}", "port is a key of target local"),
        ("serving: {target: kserve, namespace: ml, state: s}", "state is a key of target local"),
        ("serving: {namespace: ml}", "namespace is a key of target kserve, and target is local"),
        ("serving: {target: local, gateway: 'http://g:1'}", "gateway is a key of target kserve"),
        ("serving: {target: local, smoke: pod}", "smoke is a key of target kserve"),
        ("serving: {target: kserve, namespce: ml}", "namespce: unknown key, did you mean namespac"),
        (KSERVE.replace("namespace: ml", "namespace: ml, gateway: g:80"), "'g:80' is no address"),
        (KSERVE.replace("namespace: ml", "namespace: ml, gateway: 'http://g/x'"), "is no address"),
        (KSERVE.replace("namespace: ml", "namespace: ml, gateway: 'http://u@g'"), "is no address"),
        (KSERVE.replace("namespace: ml", "namespace: ml, platforms: [amd64]"), "platforms.0"),
        (KSERVE.replace("namespace: ml", "namespace: ml, smoke_limits: {cpu: x}"), "smoke_limits"),
        ("serving: {target: kserve, namespace: ml}", "write metrics: {source: envoy, url: http://"),
        (
            "serving: {target: kserve, namespace: ml}\nmetrics: prometheus",
            "write metrics: {source: prometheus, url: http://PROMETHEUS:9090}",
        ),
        (
            KSERVE.replace("envoy, url: ", "prometheus, url: ['http://p', ").replace('0"', '0"]'),
            "metrics.url: one Prometheus",
        ),
        (
            KSERVE.replace("registry.example.com/ml", "oci-layout:./images"),
            "cannot pull from a fol",
        ),
        ("metrics: prometheus", "metrics.source: prometheus reads what a cluster reports"),
        ("metrics: {url: 'http://g:9000'}", "metrics.url is a key of serving.target kserve"),
        ("metrics: {source: datadog}", "metrics.source: Input should be 'envoy' or 'prometheus'"),
    ],
)
def test_sections_that_do_not_fit_each_other_are_named_with_the_fix(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, text)
    assert message in str(raised.value)
    assert ": :" not in str(raised.value)


def test_a_token_of_the_metrics_comes_from_the_environment_and_is_never_shown(
    tmp_path: Path,
) -> None:
    found = load(tmp_path, KSERVE, LAUREL_METRICS__TOKEN="hunter2")
    assert found.metrics.token is not None
    assert "hunter2" not in repr(found)
    with pytest.raises(ConfigurationError, match=r"metrics\.token is a key of serving\.target"):
        load(tmp_path, "", LAUREL_METRICS__TOKEN="hunter2")


@pytest.mark.parametrize("url", ["http://a:9000", ["http://a:9000", "http://b:9000"]])
def test_one_gateway_or_several_are_counted(tmp_path: Path, url: str | list[str]) -> None:
    text = KSERVE.replace('"http://gateway:9000"', str(url))
    assert load(tmp_path, text).metrics.urls == ((url,) if isinstance(url, str) else tuple(url))
