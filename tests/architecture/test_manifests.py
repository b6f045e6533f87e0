"""Laurel's own manifests give each process what it needs and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.kserve.rights import RIGHTS, SMOKE_RIGHTS, Right
from pipeline.kserve.smoke_pod import PORT, denies_egress
from pipeline.settings import Settings
from pipeline.settings.fields import size
from pipeline.settings.load import load_settings
from tests.architecture.manifests import K8S, Json, objects, one

FOLDERS = ("base", "services", "smoke", "overlays/embedded", "examples")


@pytest.fixture
def pod() -> Json:
    """Laurel's own pod."""
    template: Json = one("base", "Deployment")["spec"]["template"]
    return template


def container(pod: Json, name: str) -> Json:
    (found,) = [each for each in pod["spec"]["containers"] if each["name"] == name]
    return dict(found)


def mounts(pod: Json, name: str) -> dict[str, str]:
    return {each["mountPath"]: each["name"] for each in container(pod, name)["volumeMounts"]}


def test_every_container_runs_as_nobody_and_can_gain_nothing(pod: Json) -> None:
    service = one("examples", "InferenceService")["spec"]["predictor"]
    for spec, inherited in ((pod["spec"], pod["spec"]["securityContext"]), (service, {})):
        for each in spec["containers"]:
            security = {**inherited, **each["securityContext"]}
            assert security["runAsNonRoot"] is True
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["spec"]["securityContext"]["runAsUser"] == 65532


def test_every_container_says_what_it_takes(pod: Json) -> None:
    for each in pod["spec"]["containers"]:
        assert {"cpu", "memory"} <= each["resources"]["requests"].keys()
        assert {"cpu", "memory", "ephemeral-storage"} <= each["resources"]["limits"].keys()


def test_the_receiver_has_no_key_no_login_and_no_token_of_the_cluster(pod: Json) -> None:
    assert pod["spec"]["automountServiceAccountToken"] is False
    receiver, worker = set(mounts(pod, "receiver").values()), set(mounts(pod, "worker").values())
    assert receiver == {"config", "webhook", "token", "data", "receiver-tmp"}
    assert worker - receiver == {"signing", "registry", "kubernetes", "cache", "worker-tmp"}
    assert not {"webhook", "token"} & worker


def test_whatever_is_mounted_is_read_only_but_data_cache_and_tmp(pod: Json) -> None:
    for each in pod["spec"]["containers"]:
        written = {m["name"] for m in each["volumeMounts"] if not m.get("readOnly")}
        assert written <= {"data", "cache", "receiver-tmp", "worker-tmp"}


def test_secrets_are_files_that_their_group_reads(pod: Json) -> None:
    for volume in pod["spec"]["volumes"]:
        if "secret" in volume or "projected" in volume:
            (kind,) = volume.keys() - {"name"}
            assert volume[kind]["defaultMode"] == 0o440
    named = {each["secret"]["secretName"] for each in pod["spec"]["volumes"] if "secret" in each}
    assert named == {
        each["metadata"]["name"] for each in objects("examples") if each["kind"] == "Secret"
    }
    assert all("secretKeyRef" not in str(each.get("env")) for each in pod["spec"]["containers"])


def test_the_receiver_is_asked_whether_it_lives_and_is_ready(pod: Json) -> None:
    receiver = container(pod, "receiver")
    assert receiver["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": "http"}
    assert receiver["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": "http"}


def test_a_pod_s_tmp_holds_no_more_than_its_limits_allow(pod: Json) -> None:
    sizes = {
        v["name"]: v["emptyDir"].get("sizeLimit") for v in pod["spec"]["volumes"] if "emptyDir" in v
    }
    assert sizes.pop("data") is None  # an overlay's volume stands here
    for each in pod["spec"]["containers"]:
        mine = [sizes[m["name"]] for m in each["volumeMounts"] if m["name"] in sizes]
        assert sum(_bytes(one) for one in mine) <= _bytes(
            each["resources"]["limits"]["ephemeral-storage"]
        )


def _bytes(quantity: str) -> int:
    return int(str(size(f"{quantity}B")))


@pytest.fixture(params=["base", "examples/mine"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return load_settings(K8S / request.param / "laurel.yaml", {})


def test_its_settings_load_and_name_files_that_are_mounted(pod: Json, settings: Settings) -> None:
    receiver, worker = mounts(pod, "receiver"), mounts(pod, "worker")
    files = {each["metadata"]["name"]: each.get("stringData") for each in objects("examples")}
    for path, mounted in (
        (settings.webhook.secret_files[0], receiver),
        (settings.server.token_file, receiver),
        (settings.signing.key, worker),
        (settings.signing.password_file, worker),
        (settings.signing.key.with_suffix(".pub"), worker),
    ):
        assert path is not None
        volume = mounted[str(path.parent)]
        (secret,) = [
            v["secret"]["secretName"] for v in pod["spec"]["volumes"] if v["name"] == volume
        ]
        assert path.name in (files[secret] or {})
    assert settings.ledger == "sqlite:////data/laurel.db"
    assert str(settings.worker.engine.parent) in worker


def test_its_settings_name_the_cluster_s_own_places(pod: Json, settings: Settings) -> None:
    assert settings.serving.target == "kserve"
    assert settings.serving.namespace == _kustomization("services")["namespace"]
    assert settings.serving.smoke_namespace == _kustomization("smoke")["namespace"]
    (port,) = container(pod, "receiver")["ports"]
    assert port["containerPort"] == settings.server.port
    assert "laurel.laurel.svc" in settings.server.allowed_hosts
    (cache,) = [v["emptyDir"] for v in pod["spec"]["volumes"] if v["name"] == "cache"]
    assert settings.worker.cache_limit < _bytes(cache["sizeLimit"])
    env = {each["name"]: each["value"] for each in container(pod, "worker")["env"]}
    assert env["XDG_CACHE_HOME"] in mounts(pod, "worker")
    assert env["DOCKER_CONFIG"] in mounts(pod, "worker")


@pytest.mark.parametrize(
    ("folder", "rights"), [("services", RIGHTS), ("smoke", SMOKE_RIGHTS)], ids=["services", "smoke"]
)
def test_a_role_gives_the_rights_that_are_asked_for_and_no_others(
    folder: str, rights: tuple[Right, ...]
) -> None:
    given = {
        (group, resource, verb)
        for rule in one(folder, "Role")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given == {(right.kind.group, right.resource, right.verb) for right in rights}


def test_rights_are_laurel_s_alone_and_never_the_whole_cluster_s() -> None:
    every = [each for folder in FOLDERS for each in objects(folder)]
    assert not [each for each in every if each["kind"] in {"ClusterRole", "ClusterRoleBinding"}]
    bindings = [each for each in every if each["kind"] == "RoleBinding"]
    account = {"kind": "ServiceAccount", "name": "laurel", "namespace": "laurel"}
    assert [each["subjects"] for each in bindings] == [[account], [account]]
    assert one("base", "ServiceAccount")["automountServiceAccountToken"] is False


def test_code_that_is_tried_out_has_no_way_out_and_only_laurel_a_way_in(pod: Json) -> None:
    policies = [each for each in objects("smoke") if each["kind"] == "NetworkPolicy"]
    assert denies_egress(policies)
    (way_in,) = one("smoke", "NetworkPolicy", "from-laurel")["spec"]["ingress"]
    (who,) = way_in["from"]
    assert who["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert who["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "laurel"
    assert way_in["ports"] == [{"port": PORT}]


def test_laurel_s_own_network_is_closed_but_for_named_neighbours(pod: Json) -> None:
    policies = [each for each in objects("base") if each["kind"] == "NetworkPolicy"]
    deny, *others = policies
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in others:
        selected = policy["spec"]["podSelector"]["matchLabels"]
        assert selected.items() <= pod["metadata"]["labels"].items()
        for way in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            assert way["ports"], policy["metadata"]["name"]
            assert way.get("from") or way.get("to"), policy["metadata"]["name"]


def test_the_service_reaches_the_receiver(pod: Json) -> None:
    spec = one("base", "Service")["spec"]
    assert spec["selector"].items() <= pod["metadata"]["labels"].items()
    (port,) = container(pod, "receiver")["ports"]
    assert [each["targetPort"] for each in spec["ports"]] == [port["name"]]


def test_two_laurels_never_share_one_sqlite() -> None:
    patch = one("overlays/embedded", "Deployment")["spec"]
    assert patch["strategy"] == {"type": "Recreate"}
    assert one("base", "Deployment")["spec"]["replicas"] == 1
    (volume,) = patch["template"]["spec"]["volumes"]
    claim = one("overlays/embedded", "PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_images_are_named_by_digest() -> None:
    (image,) = _kustomization("overlays/embedded")["images"]
    assert image["digest"].startswith("sha256:")
    assert "newTag" not in image
    names = {
        c["image"] for c in one("base", "Deployment")["spec"]["template"]["spec"]["containers"]
    }
    assert names == {image["name"]}
    (served,) = one("examples", "InferenceService")["spec"]["predictor"]["containers"]
    assert "@sha256:" in served["image"]


def test_only_the_webhook_is_shown_to_the_outside() -> None:
    (rule,) = one("examples", "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/webhooks/mlflow", "Exact")
    assert one("examples", "Ingress")["spec"]["tls"][0]["hosts"] == [rule["host"]]
    (route,) = one("examples", "HTTPRoute")["spec"]["rules"]
    (match,) = route["matches"]
    assert match == {"path": {"type": "Exact", "value": "/webhooks/mlflow"}, "method": "POST"}


def test_a_virtual_service_never_splits() -> None:
    for rule in one("examples", "VirtualService")["spec"]["http"]:
        (only,) = rule["route"]
        assert only["weight"] == 100


def test_every_file_is_used_by_a_kustomization_or_an_example() -> None:
    used: set[Path] = set()
    for file in K8S.rglob("kustomization.yaml"):
        said = yaml.safe_load(file.read_text())
        named = [
            *said["resources"],
            *(each["path"] for each in said.get("patches", ()) if "path" in each),
        ]
        named += [path for made in said.get("configMapGenerator", ()) for path in made["files"]]
        used |= {file, *((file.parent / name).resolve() for name in named)}
    there = {path for path in K8S.rglob("*") if path.is_file()}
    assert {path for path in there - used if path.parent != K8S / "examples"} == set()


def _kustomization(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(K8S, folder, "kustomization.yaml").read_text())
    return found
