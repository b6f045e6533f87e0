"""The contract of serving targets, kept by KServe on a real cluster."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.image.config import host_platform
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import connect
from pipeline.ports import ServingTarget
from tests.cluster.conftest import Model
from tests.cluster.stack.whole import Whole
from tests.contract import test_serving_target as contract

pytestmark = pytest.mark.cluster

NOTHING = Digest.of(b"")


@pytest.fixture
def versions(model: Model) -> tuple[VerifiedImage, ...]:
    """Push three versions of a model."""
    return tuple(verified(model(f"v{number}"), number) for number in (1, 2, 3))


def verified(image: str, version: int) -> VerifiedImage:
    """Take an image for one that was verified."""
    ref, model = ImageRef.parse(image), ModelVersion("fraud", version)
    return VerifiedImage(ref, model, "mlserver", "fraud", "key", NOTHING, NOTHING, NOTHING, ())


@pytest.fixture
def target(cluster: Whole, kubeconfig: Path, namespace: str) -> Iterator[ServingTarget]:
    """Serve in a namespace of the test's own."""
    door = connect(kubeconfig=kubeconfig, context=None, namespace=namespace)
    with closing(Gateway(cluster.place.gateway)) as gateway:
        yield KServeServing(door, gateway, {host_platform()})


NOT_HERE = {"test_a_revision_is_asked_whatever_its_share_of_the_traffic_is"}
"""These model servers know no ``/invocations``: promotions of real images ask them, before any
percent (test_promotion_on_the_cluster.py)."""
for name, test in vars(contract).items():
    if name.startswith("test_") and "target" in test.__annotations__ and name not in NOT_HERE:
        globals()[name] = test
