"""Which image is a model version's image: one tag, known before any file is read."""

from pipeline.domain.evidence import ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, model_slug
from pipeline.image.canonical import canonical
from pipeline.image.config import host_platform

FORMAT = 1  # of everything that Laurel itself puts into an image; raised when that changes


def version_key(resolved: ResolvedModel, plan: Plan) -> str:
    """Name the tag under which the first good image of this model version stands (§8.8).

    It depends on what was asked for: version, runtime, base, platform, builder, format. Run, logged
    model and source tell apart versions of the same number, of a registry that was made anew.
    """
    model = resolved.model
    said: list[object] = [
        FORMAT,
        [model.workspace, model.name, model.version],
        [resolved.run_id, resolved.model_id, resolved.source],
        [plan.runtime, plan.base, platform_of(plan)],
    ]
    if plan.builder != "layers":
        said.append(plan.builder)
    return f"laurel-{Digest.of(canonical(said)).hex[:32]}"


def repository_of(plan: Plan) -> str:
    """Name the repository of a service's images: the one it sets, else its model's slug."""
    return plan.repository or model_slug(plan.model)


def platform_of(plan: Plan) -> str:
    """Name the platform of a service's images: the one it sets, else this machine's."""
    return plan.platform or host_platform()
