"""What a promotion would do, found out without doing any of it: nothing is pushed, started, moved.

The same steps are asked as in :mod:`pipeline.promote`, up to the build; what a step refuses is told
as a rule that is not met, and what can still be known is told all the same.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from pipeline.at_once import Steps
from pipeline.domain.compatibility import changes
from pipeline.domain.evidence import (
    CheckedModel,
    DescribedModel,
    Lock,
    LockedModel,
    ModelDescription,
    Refused,
    ResolvedModel,
    Stopped,
    Unknown,
)
from pipeline.domain.packages import moved, pins
from pipeline.domain.references import Digest, ModelVersion
from pipeline.domain.serving import ServiceState
from pipeline.forecast.parts import labels_of, recalled, there
from pipeline.forecast.serving import serving, traffic, version_of, waits
from pipeline.forecast.values import Forecast, Part, Rule, World
from pipeline.run import Ended
from pipeline.signatures import signature_of
from pipeline.steps.check import check
from pipeline.steps.compare import compare
from pipeline.steps.describe import describe
from pipeline.steps.lock import lock
from pipeline.steps.resolve import resolve

__all__ = ["Forecast", "Part", "Rule", "World", "foresee"]

P = ParamSpec("P")
T = TypeVar("T")


def foresee(steps: Steps, world: World) -> Forecast:
    """Say what this promotion would do."""
    return _Foresight(steps, world).forecast()


class _Foresight:
    def __init__(self, steps: Steps, world: World) -> None:
        self._steps = steps
        self._world = world
        self._plan = steps.promotion.plan
        self._rules: list[Rule] = []

    def forecast(self) -> Forecast:
        """Ask one step after another; without a version nothing more can be known."""
        plan, world = self._plan, self._world
        found = Forecast(plan.service, ())
        resolved = self._tried("resolve", resolve, self._steps.promotion, registry=world.models)
        if resolved is not None:
            state = world.target.observe(plan.service)
            found = replace(self._of(resolved, state), traffic=traffic(plan, state))
            frozen = world.freezes.frozen(plan.service, world.clock.now())
            found = replace(found, waits=waits(plan, state, frozen), serves=serving(plan, state))
        return replace(found, rules=tuple(self._rules))

    def _of(self, resolved: ResolvedModel, state: ServiceState) -> Forecast:
        plan, world = self._plan, self._world
        found = Forecast(plan.service, (), resolved.model, resolved.run_id)
        checked = self._tried(
            "check", check, resolved, plan=plan, target=world.target, registry=world.models
        )
        checked = checked or CheckedModel(resolved, ())
        self._rules += [Rule(rule, met=True) for rule in checked.passed]
        found = self._compared(found, resolved.model, state)
        image = recalled(resolved, plan, world.images)
        if image is not None and not self._steps.promotion.rebuild:
            return replace(found, image=image, parts=there(image, plan, world.images))
        described = self._tried("describe", describe, checked, store=world.artifacts)
        if described is None:
            return found
        locked = self._tried(
            "lock",
            lock,
            described,
            plan=plan,
            rebuild=self._steps.promotion.rebuild,
            resolver=world.resolver,
        )
        return self._built(found, described, locked, state)

    def _compared(self, found: Forecast, model: ModelVersion, state: ServiceState) -> Forecast:
        """Show every difference, also of a version that the rule refuses."""
        plan, world = self._plan, self._world
        seen = self._tried(
            "signature",
            compare,
            model,
            state,
            plan=plan,
            registry=world.models,
            store=world.artifacts,
        )
        if seen is not None and not seen.before:
            return found
        before = ModelVersion(plan.model, version_of(state), plan.workspace)
        was = signature_of(before, registry=world.models, store=world.artifacts)
        becomes = signature_of(model, registry=world.models, store=world.artifacts)
        if isinstance(was, Unknown) or isinstance(becomes, Unknown):
            return found
        return replace(found, signature=changes(was, becomes), signature_of=str(before))

    def _built(
        self,
        found: Forecast,
        described: DescribedModel,
        locked: LockedModel | None,
        state: ServiceState,
    ) -> Forecast:
        labels = labels_of(state, self._world.images)
        size = sum(file.size for file in described.files)
        model = Part("model", moves=True, size=size, why=f"{len(described.files)} files")
        if locked is None:
            return replace(found, parts=(model,))
        packages, against = self._packages(described.description, locked.lock, labels, state)
        same = labels.get("dev.laurel.lock.digest") == locked.lock.digest.value
        base = labels.get("org.opencontainers.image.base.name") == self._plan.base
        count = len(_pinned(locked.lock))
        parts = (
            _part("base", self._plan.base, stays=base),
            _part("environment", f"{count} packages", stays=same and base),
            model,
        )
        return replace(found, lock=locked.lock, packages=packages, packages_of=against, parts=parts)

    def _packages(
        self, description: ModelDescription, new: Lock, labels: dict[str, str], state: ServiceState
    ) -> tuple[tuple[str, ...], str]:
        """Compare locks where the serving one's text is known here, else the models' own pins."""
        digest = labels.get("dev.laurel.lock.digest")
        if digest is None:
            return (), ""
        if digest == new.digest.value:
            return (), "the lock that serves, which is the same"
        old = self._world.known_lock(Digest(digest))
        if old is not None:
            return moved(_pinned(old), _pinned(new)), "the lock that serves"
        before = self._requirements(state)
        if before is None:
            return (), ""
        lines = moved(pins(before), pins(description.requirements))
        return lines, "the requirements of the model that serves"

    def _requirements(self, state: ServiceState) -> tuple[str, ...] | None:
        """Read what the serving version asks for itself; nothing is refused for its faults."""
        world, version = self._world, version_of(state)
        if not version:
            return None
        promotion = replace(
            self._steps.promotion,
            model=replace(self._steps.promotion.model, version=version),
            alias=None,
        )
        before = resolve(promotion, registry=world.models)
        if isinstance(before, Refused):
            return None
        described = describe(CheckedModel(before, ()), store=world.artifacts)
        return None if isinstance(described, Refused) else described.description.requirements

    def _tried(
        self, name: str, do: Callable[P, T | Refused | Stopped], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Do a step that only reads; what it refuses is a rule that is not met."""
        try:
            done = self._steps.step(do, *args, **kwargs)
        except Ended as ended:
            self._rules.append(Rule(name, met=False, why=ended.reason))
            return None
        self._rules.append(Rule(name, met=True))
        return done


def _pinned(lock: Lock) -> dict[str, str]:
    return pins(lock.text.splitlines())


def _part(name: str, what: str, *, stays: bool) -> Part:
    return Part(name, not stays, None, "as it serves now" if stays else what)
