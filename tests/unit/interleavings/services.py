"""Two services, each of a model of its own, with images that were built before."""

import copy
from dataclasses import replace
from functools import cache
from itertools import product

from pipeline.domain.plan import CanaryPlan, Plan
from tests.fakes.image_registry import InMemoryRegistry
from tests.unit.memory import folder_in_memory
from tests.unit.promotion_scene import PLAN, scene

APPROVED, FREE = "fraud", "churn"
SERVICES = (APPROVED, FREE)
FIRST, FRESH = 1, 4
BUILT = (FIRST, 2, FRESH)
"""The versions of each model that have an image already; the third is built when it is wanted."""


def model_of(service: str) -> str:
    return f"{service}-scorer"


def plan_of(service: str) -> Plan:
    """Plan one service with a short canary; ``fraud`` needs somebody's word."""
    return replace(
        PLAN,
        service=service,
        model=model_of(service),
        repository=f"ml/{service}",
        approvals=1 if service == APPROVED else 0,
        canary=CanaryPlan(steps=(10, 50), interval=2, min_samples=80, look_every=1),
    )


def built_before() -> InMemoryRegistry:
    """Give a registry of one's own that has the images."""
    images, made = _images(), InMemoryRegistry()
    made.blobs, made.manifests = dict(images.blobs), dict(images.manifests)
    made.tagged, made.listed = dict(images.tagged), copy.deepcopy(images.listed)
    return made


@cache
def _images() -> InMemoryRegistry:
    """Build each once, by a first deploy."""
    images = InMemoryRegistry()
    for service, version in product(SERVICES, BUILT):
        name = model_of(service)
        with folder_in_memory() as folder, scene(folder, images=images) as made:
            made.models.point(name, "champion", version)
            made.promote(
                version,
                service=service,
                plan=replace(plan_of(service), approvals=0),
                model=made.models.register(name, version, validated="true"),
            )
    return images
