"""One small Protocol per neighbour: what the pipeline needs of the world, and nothing more.

Adapters in ``pipeline.adapters`` implement them; ``pipeline.wiring`` alone puts the two together.
Every method raises only errors of :mod:`pipeline.errors`.
"""

from pipeline.ports.course import Clock, Freezes, Journal, StillWanted
from pipeline.ports.images import (
    BaseImages,
    Environments,
    ImageBuilder,
    ImageRegistry,
    LockResolver,
    ModelRunner,
    RunningModel,
    Signer,
)
from pipeline.ports.models import ArtifactStore, ModelRegistry
from pipeline.ports.serving import Metrics, ServingTarget
from pipeline.ports.webhooks import RegistryServer, Webhooks

__all__ = [
    "ArtifactStore",
    "BaseImages",
    "Clock",
    "Environments",
    "Freezes",
    "ImageBuilder",
    "ImageRegistry",
    "Journal",
    "LockResolver",
    "Metrics",
    "ModelRegistry",
    "ModelRunner",
    "RegistryServer",
    "RunningModel",
    "ServingTarget",
    "Signer",
    "StillWanted",
    "Webhooks",
]
