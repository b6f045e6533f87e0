"""Laurel's manifests and examples are what real API servers take, to the last field."""

from pathlib import Path

import pytest
import yaml

from tests.cluster.installed import K8S, apply, rendered
from tests.cluster.stack.control_plane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("control_plane")]

DEFINITIONS = Path(__file__).parents[1] / "fixtures" / "crds"
FOLDERS = ("base", "services", "smoke", "overlays/embedded", "examples/mine")
EXAMPLES = sorted((K8S / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """Lend an API server that also knows Istio's and the Gateway API's objects."""
    control_plane.kubectl("apply", "--server-side", f"--filename={DEFINITIONS}")
    for name in ("virtualservices.networking.istio.io", "httproutes.gateway.networking.k8s.io"):
        control_plane.kubectl("wait", "--for=condition=Established", f"crd/{name}")
    for name in ("laurel", "laurel-smoke", "ml"):
        apply(
            control_plane, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
        )
    return control_plane


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_kustomization_is_taken_on_the_server_s_side(plane: ControlPlane, folder: str) -> None:
    objects = rendered(plane, folder)
    said = apply(plane, objects, "--dry-run=server")
    assert len(said.splitlines()) == len(objects)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_taken_on_the_server_s_side(plane: ControlPlane, example: Path) -> None:
    objects = list(yaml.safe_load_all(example.read_text()))
    said = apply(plane, objects, "--dry-run=server")
    assert len(said.splitlines()) == len(objects)


def test_an_unknown_field_would_be_noticed(plane: ControlPlane) -> None:
    (service,) = yaml.safe_load_all((K8S / "examples/virtual-service.yaml").read_text())
    service["spec"]["http"][0]["wieght"] = 100
    with pytest.raises(Exception, match="wieght"):
        apply(plane, [service], "--dry-run=server")


def test_the_image_is_set_by_one_line_of_an_overlay(plane: ControlPlane, tmp_path: Path) -> None:
    digest = f"sha256:{'5' * 64}"
    image = {
        "name": "registry.example.com/ml/laurel",
        "newName": "10.0.0.1:5000/laurel",
        "digest": digest,
    }
    (tmp_path / "k8s").symlink_to(K8S)
    said = {"resources": ["k8s/overlays/embedded"], "images": [image]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(said))
    (found,) = [each for each in rendered(plane, tmp_path) if each["kind"] == "Deployment"]
    containers = found["spec"]["template"]["spec"]["containers"]
    assert {each["image"] for each in containers} == {f"10.0.0.1:5000/laurel@{digest}"}
