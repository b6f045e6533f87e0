"""One promotion's row and events in the ledger, as its attempt reads and writes them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipeline.domain.admission import Admission, Frozen, Rules
from pipeline.domain.aliases import NOTHING
from pipeline.domain.chain import Head
from pipeline.domain.evidence import ResolvedModel, VerifiedImage
from pipeline.domain.plan import OnReturn
from pipeline.domain.promotion import Control, Promotion, Steering, Waiting
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.rollback import may_return
from pipeline.domain.serving import Hold, ServiceState
from pipeline.ledger import Entrance, Ledger
from pipeline.ports import Clock


class Record:
    """What is known of a promotion, and its story. Implements :class:`pipeline.ports.Journal`."""

    def __init__(self, promotion: Promotion, ledger: Ledger, clock: Clock) -> None:
        self.promotion = promotion
        self._ledger = ledger
        self._clock = clock

    def know(self, **found: Any) -> None:  # noqa: ANN401 - columns of the promotion
        """Record what became known of the promotion."""
        self.promotion = self._ledger.promotions.change(self.promotion.id, **found)

    def know_model(self, resolved: ResolvedModel) -> None:
        """Record which version and run this is about."""
        self.know(
            model_version=resolved.model.version,
            run_id=resolved.run_id,
            model_id=resolved.model_id,
            source=resolved.source,
        )

    def know_image(self, verified: VerifiedImage, before: ServiceState) -> None:
        """Record the image, and what served before it; what was seen first stays."""
        previous = before.stable.image if before.stable is not None else None
        first = self.promotion.image is None
        self.know(
            image=verified.ref,
            previous_image=previous if first else self.promotion.previous_image,
            artifact_digest=verified.artifact_digest,
            lock_digest=verified.lock_digest,
            base_digest=verified.base_digest,
            key_id=verified.key_id,
        )

    def began(self, do: Callable[..., object]) -> bool:
        """Tell whether a step was ever begun by any attempt of this promotion."""
        return any(note["name"] == do.__name__ for note in self.notes("step_started"))

    def returns_to(self, image: ImageRef) -> bool:
        """Tell whether the service served this image before, and its plan returns at once."""
        if self.promotion.plan.on_return is not OnReturn.ROLLBACK:
            return False
        return may_return(self._ledger.promotions.of_service(self.promotion.service), image)

    def serves_in(self, state: ServiceState | None) -> bool:
        """Tell whether this promotion's image is the stable one of a service."""
        image = self.promotion.image
        return state is not None and image is not None and state.serves(image)

    def by_hand(self) -> bool:
        """Tell whether a person named this version, or an alias that the service does not watch."""
        wanted = self.promotion
        return wanted.alias != wanted.plan.alias and not wanted.trigger.kind.automatic

    def hold_unless(self, named: int | None, model: ModelVersion) -> None:
        """Hold the service where the alias names another version than a person promoted."""
        wanted = self.promotion
        if named != model.version:
            reason = f"{model} was promoted by hand"
            hold = Hold(wanted.trigger.actor, reason, self._clock.now(), named or NOTHING)
            self._ledger.holds.set(wanted.service, hold)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event."""
        self._ledger.events.append(self.promotion.id, self._clock.now(), kind, data)

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Read earlier events of one kind, oldest first."""
        return [event.data for event in self._ledger.events.of(self.promotion.id, kind=kind)]

    def history_so_far(self) -> Head:
        """Read the head of the service's history."""
        return self._ledger.history.head(self.promotion.service)

    def history_was_at(self, head: Head) -> bool:
        """Tell whether the service's history ever had this head."""
        return self._ledger.history.was_at(self.promotion.service, head)

    def control(self) -> Control | None:
        """Read the decision that ends this promotion early, if one was made."""
        return self._ledger.controls.first(self.promotion.id)

    def steering(self) -> Steering:
        """Read how people steer this promotion now."""
        return self._ledger.controls.steering(self.promotion.id)

    def held(self) -> Hold | None:
        """Read the hold that keeps this promotion from more traffic; a person's own goes on."""
        if not self.promotion.trigger.kind.automatic:
            return None
        return self._ledger.holds.get(self.promotion.service)

    def enter(
        self, image: Digest, *, rules: Rules, place: bool, frozen: Frozen | None
    ) -> Admission:
        """Ask to be let into traffic with this image."""
        asked = Entrance(image, rules, place, frozen, self._clock.now())
        return self._ledger.admissions.enter(self.promotion.id, asked)

    def waiting(self, for_: str | None, until: datetime | None = None) -> None:
        """Say what the promotion waits for; said once, however often it is called."""
        before = self.promotion.waiting
        if (before and (before.for_, before.until)) != (for_ and (for_, until)):
            waiting = None if for_ is None else Waiting(for_, self._clock.now(), until)
            self.know(waiting=waiting)
