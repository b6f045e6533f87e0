"""Deployment statements read back: which deployments of a service a trusted key has stated."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest, ImageRef
from pipeline.ports import ImageRegistry
from pipeline.trust.attachments import Attested, attestations
from pipeline.trust.keys import PublicKey
from pipeline.trust.statements import DEPLOYMENT, Deployment, read_deployment


@dataclass(frozen=True, slots=True)
class Stated:
    """A deployment of an image, as the statement in ``referrer`` has it."""

    image: ImageRef
    referrer: Digest
    deployment: Deployment


def stated_deployments(
    image: ImageRef, service: str, *, registry: ImageRegistry, policy: TrustPolicy
) -> Iterator[Stated]:
    """Read what is stated about an image and a service; what no key of the policy signed is not."""
    keys = [PublicKey.from_pem(pem) for pem in policy.keys]
    for found in attestations(image, registry=registry, keys=keys, wanted=(DEPLOYMENT,)):
        if isinstance(found, Attested):
            said = read_deployment(found.statement)
            if isinstance(said, Deployment) and said.service == service:
                yield Stated(image, found.referrer, said)
