"""What may go, found in a registry and a ledger that promotions filled: nothing is guessed."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.at_once import AtOnce
from pipeline.collection.survey import Survey
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Phase
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Hold
from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest, index_bytes
from pipeline.ledger import Ledger
from pipeline.promote import prepare
from pipeline.transfer import copy_image
from pipeline.trust.attachments import attach
from pipeline.trust.keys import PrivateKey
from pipeline.trust.statements import COSIGN_SIGN, SLSA_PROVENANCE, Statement, signature_statement
from tests.fakes.baked_image import LABELS
from tests.fakes.clock import FakeClock
from tests.unit.promotion_scene import PLAN, SERVICE, Scene, scene

STRANGER = KeyFileSigner(PrivateKey.generate())


@dataclass
class Place:
    """A scene in which promotions were made, and the survey of its repositories."""

    scene: Scene
    plans: dict[str, Plan] = field(default_factory=lambda: {SERVICE: PLAN})
    stored: dict[Digest, datetime] = field(default_factory=dict)
    keep: int = 1

    @property
    def survey(self) -> Survey:
        return Survey(
            self.plans,
            self.scene.ledger,
            target=self.scene.target,
            registry=self.scene.images,
            policy=self.scene.tools.policy,
            keep=self.keep,
            clock=self.scene.clock,
            stored=lambda repository: self.stored if repository == "ml/fraud" else {},
        )

    def pass_days(self) -> None:
        self.scene.clock.passing.clear()
        self.scene.clock.sleep(2 * 86400)

    def verdicts(self) -> dict[str, str]:
        """Say why each image stays, or ``goes``."""
        judged, _ = self.survey.judged()
        return {str(j.image.ref): "goes" if j.goes else j.why for j in judged}

    def of(self, version: int) -> ImageRef:
        found = [p.image for p in self.scene.promotions if p.model.version == version and p.image]
        return found[-1]

    def verdict(self, image: ImageRef) -> str:
        return self.verdicts()[str(image)]

    def build(self, version: int) -> ImageRef:
        """Make an image that no promotion is about, as ``laurel build`` does."""
        model = self.scene.models.register("scorer", version)
        with_model = replace(self.scene.promotions[0], model=model, alias=None, id="none")
        steps = AtOnce(with_model, self.scene.clock, lambda _step: None)
        return prepare(steps, self.scene.tools).ref

    def push(self, manifest: Manifest, tag: str | None = None) -> ImageRef:
        self.scene.images.push_blob("ml/fraud", Content.of(EMPTY_CONFIG))
        content = manifest.to_bytes()
        digest = self.scene.images.push_manifest("ml/fraud", content, IMAGE_MANIFEST, tag=tag)
        return ImageRef("ml/fraud", digest)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    """Promote three versions one after the other; the third serves."""
    folder = tmp_path_factory.mktemp("filled")
    with scene(folder) as made:
        for version in (1, 2, 3):
            assert made.promote(version).phase is Phase.SUCCEEDED
    return folder, made


@pytest.fixture
def place(filled: tuple[Path, Scene], tmp_path: Path) -> Iterator[Place]:
    """Copy what was filled, so that a test may change it."""
    folder, made = filled
    shutil.copy(folder / "laurel.db", tmp_path)
    with closing(Ledger(f"sqlite:///{tmp_path}/laurel.db")) as ledger:
        images, target, models = deepcopy((made.images, made.target, made.models))
        clock = FakeClock(made.clock.now())
        yield Place(Scene(ledger, images=images, target=target, models=models, clock=clock))


def test_what_served_longer_ago_than_history_goes_back_goes(place: Place) -> None:
    place.pass_days()
    assert place.verdict(place.of(1)) == "goes"
    assert place.verdict(place.of(2)) == "goes"
    assert place.verdict(place.of(3)) == "fraud serves it"
    place.keep = 2
    assert place.verdict(place.of(2)) == "one of the last 2 that fraud served"


def test_for_a_day_everything_stays(place: Place) -> None:
    assert place.verdict(place.of(1)) == "it is younger than a day"
    assert "goes" not in place.verdicts().values()


def test_each_image_is_judged_once_and_nothing_that_is_attached_to_one(place: Place) -> None:
    judged, unread = place.survey.judged()
    assert [j.image.ref for j in judged] == sorted(
        (place.of(version) for version in (1, 2, 3)), key=lambda ref: ref.digest
    )
    assert unread == {}


def test_what_a_running_promotion_may_recall_stays(place: Place) -> None:
    place.pass_days()
    place.scene.accept(1)
    assert "has not ended" in place.verdict(place.of(1))
    assert place.verdict(place.of(2)) == "goes"


def test_what_a_hold_refers_to_stays(place: Place) -> None:
    place.pass_days()
    place.scene.ledger.holds.set(SERVICE, Hold("ada", "", place.scene.clock.now(), 2))
    assert place.verdict(place.of(2)) == "the hold of fraud refers to its version"


def test_a_service_that_laurel_yaml_forgot_keeps_what_it_serves(place: Place) -> None:
    place.pass_days()
    other = Plan("other", "another-model", repository="ml/fraud")
    place.plans = {"other": other}
    assert place.verdict(place.of(3)) == "fraud serves it"
    assert place.verdict(place.of(2)) == "goes"


def test_only_repositories_of_laurel_yaml_are_looked_at(place: Place) -> None:
    place.pass_days()
    place.plans = {"other": Plan("other", "another-model", repository="ml/other")}
    assert place.verdicts() == {}


def test_what_was_built_at_the_prompt_stays_for_a_day_by_its_provenance(place: Place) -> None:
    image = place.build(7)
    assert place.verdict(image) == "it is younger than a day"
    place.pass_days()
    assert place.verdict(image) == "goes"


def test_what_a_rebuild_replaced_goes_although_no_tag_names_it(place: Place) -> None:
    first = place.of(1)
    place.scene.promote(1, rebuild=True)
    assert place.of(1) != first
    place.pass_days()
    assert place.verdict(first) == "goes"


def test_a_tag_by_a_person_keeps_an_image(place: Place) -> None:
    image = place.of(1)
    place.scene.images.tagged["ml/fraud", "best"] = image.digest
    place.pass_days()
    assert place.verdict(image) == "somebody tagged it best"


@pytest.fixture
def newcomer(place: Place, tmp_path: Path) -> Iterator[Place]:
    """Another Laurel with the same key and registry, and a ledger of its own that knows nothing."""
    (tmp_path / "other").mkdir()
    with scene(tmp_path / "other", images=place.scene.images, clock=place.scene.clock) as other:
        yield Place(other, {"fraud-eu": replace(PLAN, service="fraud-eu")})


def test_an_image_that_another_ledgers_service_was_sent_stays(
    place: Place, newcomer: Place
) -> None:
    place.pass_days()
    assert place.verdict(place.of(1)) == "goes"
    newcomer.scene.promote(1, service="fraud-eu")
    place.pass_days()
    why = "deployed as fraud-eu/1, which this ledger knows not"
    assert place.verdict(place.of(1)) == why


def test_a_ledger_that_was_lost_lets_nothing_go_that_was_ever_deployed(
    place: Place, newcomer: Place
) -> None:
    place.pass_days()
    assert "goes" not in newcomer.verdicts().values()
    assert newcomer.verdict(place.of(1)) == "deployed as fraud/1, which this ledger knows not"


def test_what_was_deployed_where_a_copy_came_from_says_nothing_of_the_copy(
    place: Place, newcomer: Place
) -> None:
    copy = copy_image(place.of(1), "prod/fraud", registry=place.scene.images)
    place.scene.images.tagged["prod/fraud", f"laurel-{'0' * 32}"] = copy.digest
    place.pass_days()
    prod = Plan("fraud-eu", "scorer", repository="prod/fraud")
    newcomer.plans = {"fraud-eu": prod}
    assert "deployed as fraud/1" in newcomer.verdict(copy)
    newcomer.plans = {"fraud-eu": replace(prod, copy_from="ml/fraud")}
    assert newcomer.verdict(copy) == "goes"


def test_an_image_that_somebody_else_signed_too_stays(place: Place) -> None:
    image = place.of(1)
    bundle = STRANGER.sign_statement(signature_statement(image.digest).encode())
    attach(image, bundle, COSIGN_SIGN, registry=place.scene.images)
    place.pass_days()
    assert "one of its statements is not Laurel's" in place.verdict(image)


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"runDetails": []},
        {"runDetails": {"metadata": {"finishedOn": "yesterday"}}},
        {"runDetails": {"metadata": {"finishedOn": "2026-01-01T00:00:00"}}},
    ],
)
def test_an_image_of_unknown_age_stays(place: Place, predicate: dict[str, object]) -> None:
    labels = {**LABELS, "dev.laurel.model.version": "77"}
    image = place.push(Manifest(EMPTY, (), labels), tag=f"laurel-{'0' * 32}")
    statement = Statement(image.digest, SLSA_PROVENANCE, predicate).encode()
    signer = place.scene.tools.signer
    attach(image, signer.sign_statement(statement), SLSA_PROVENANCE, registry=place.scene.images)
    place.pass_days()
    assert place.verdict(image) == "nobody knows how old it is"


def test_what_no_tag_and_no_ledger_names_is_found_where_a_registry_can_tell(place: Place) -> None:
    failed = place.push(Manifest(EMPTY, (), {**LABELS, "dev.laurel.model.version": "78"}))
    assert str(failed) not in place.verdicts()
    place.stored[failed.digest] = place.scene.clock.now()
    assert place.verdict(failed) == "it is younger than a day"
    place.pass_days()
    assert place.verdict(failed) == "goes"
    place.stored[failed.digest] = place.scene.clock.now() - timedelta(hours=1)
    assert place.verdict(failed) == "it is younger than a day"


@pytest.mark.parametrize(
    "said",
    [{}, {"dev.laurel.model.name": "fraud"}, {**LABELS, "dev.laurel.model.version": "0"}],
)
def test_what_is_not_laurels_stays(place: Place, said: dict[str, str]) -> None:
    image = place.push(Manifest(EMPTY, (), {**said, "of": "somebody"}), tag="theirs")
    place.pass_days()
    assert place.verdict(image) == "Laurel did not build it"


def test_an_index_of_another_tool_stays(place: Place) -> None:
    digest = place.scene.images.push_manifest("ml/fraud", index_bytes(()), IMAGE_INDEX, tag="all")
    place.pass_days()
    assert place.verdict(ImageRef("ml/fraud", digest)) == "Laurel did not build it"


def test_an_image_that_is_gone_already_is_not_listed(place: Place) -> None:
    image = place.of(1)
    place.scene.images.delete("ml/fraud", image.digest)
    place.scene.images.tagged["ml/fraud", "dangling"] = Digest.of(b"gone")
    assert str(image) not in place.verdicts()


def test_while_the_target_cannot_be_read_nothing_of_its_services_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_service: str) -> None:
        raise UnavailableError("observe", "the target", "is it running?")

    place.pass_days()
    monkeypatch.setattr(place.scene.target, "observe", away)
    judged, unread = place.survey.judged()
    assert not any(each.goes for each in judged)
    assert "what fraud serves cannot be read" in unread["ml/fraud"]


def test_while_a_repository_cannot_be_read_nothing_of_it_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.pass_days()
    manifest, asked = place.scene.images.manifest, []

    def forbidden_later(repository: str, reference: str) -> bytes | None:
        asked.append(reference)
        if len(asked) > 8:
            raise ForbiddenError("read", repository, "ask for access")
        return manifest(repository, reference)

    monkeypatch.setattr(place.scene.images, "manifest", forbidden_later)
    judged, unread = place.survey.judged()
    assert judged == []
    assert "it cannot be read" in unread["ml/fraud"]
    assert "ask for access" in unread["ml/fraud"]


def test_what_came_to_be_needed_meanwhile_stays_after_all(place: Place) -> None:
    place.pass_days()
    (image,) = (j.image for j in place.survey.judged()[0] if j.image.ref == place.of(1))
    assert place.survey.still_goes(image).goes
    place.scene.accept(1)
    assert not place.survey.still_goes(image).goes
