"""`laurel gc` tells what may go and why the rest stays, and removes only when asked to."""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.local_serving import LocalServing
from pipeline.collection.survey import Survey
from pipeline.domain.promotion import Phase
from pipeline.domain.references import ImageRef
from pipeline.domain.retention import Judged, StoredImage
from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.ledger import Ledger
from pipeline.settings.load import load_settings
from pipeline.steps.sign import sign
from tests.fakes.baked_image import LABELS, bake
from tests.fakes.clock import FakeClock
from tests.unit.cli.conftest import answer, draft, laurel

LONG_AGO = 1_000_000_000
SERVICES = "\nservices: [{name: fraud, model: fraud-scorer, repository: ml/fraud}]\n"


@dataclass
class Shelf:
    """Three images that no promotion is about: an old one, a young one, and a stranger's."""

    folder: Path
    layout: LayoutRegistry
    old: ImageRef
    young: ImageRef
    strange: ImageRef

    @property
    def ledger(self) -> Ledger:
        return wiring.open_ledger(load_settings(self.folder / "laurel.yaml", {}))

    def there(self, image: ImageRef) -> bool:
        return self.layout.manifest(image.repository, image.digest.value) is not None

    def blobs(self) -> list[Path]:
        return list((self.folder / "images" / "blobs" / "sha256").iterdir())


@pytest.fixture
def shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    laurel("init")
    with (folder / "laurel.yaml").open("a") as file:
        file.write(SERVICES)
    settings = load_settings(folder / "laurel.yaml", {})
    layout = LayoutRegistry(folder / "images")
    refs = []
    for name, labels in (("old", LABELS), ("young", LABELS), ("strange", {})):
        smoked = bake(layout, layers=(name.encode(),), labels=labels)
        refs.append(smoked.built.ref)
        if name == "old":
            sign(
                smoked,
                registry=layout,
                signer=wiring.signer(settings),
                policy=wiring.trust_policy(settings),
                clock=FakeClock(),
                promotion_id="p-1",
            )
            for path in (folder / "images" / "blobs" / "sha256").iterdir():
                os.utime(path, (LONG_AGO, LONG_AGO))
    return Shelf(folder, layout, *refs)


def verdicts(*arguments: str) -> dict[str, str]:
    items = answer("gc", *arguments)["items"]
    return {item["image"]: item["verdict"] for item in items}


def test_it_tells_what_may_go_and_removes_nothing(shelf: Shelf) -> None:
    told = laurel("gc")
    assert told.exit_code == 0, told.stderr
    rows = {line.split()[0]: line for line in told.stdout.splitlines()[1:]}
    assert "fraud/7" in rows[str(shelf.old)]
    assert "goes     no service, history, hold or promotion needs it" in rows[str(shelf.old)]
    assert "stays    it is younger than a day" in rows[str(shelf.young)]
    assert "stays    Laurel did not build it" in rows[str(shelf.strange)]
    assert "1 of 3 images may go: `laurel gc --apply` removes them" in told.stderr
    assert all(shelf.there(image) for image in (shelf.old, shelf.young, shelf.strange))


def test_applied_it_removes_that_image_with_all_that_only_it_had(shelf: Shelf) -> None:
    before = len(shelf.blobs())
    done = answer("gc", "--apply")
    assert {item["image"]: item["verdict"] for item in done["items"]} == {
        str(shelf.old): "removed",
        str(shelf.young): "stays",
        str(shelf.strange): "stays",
    }
    assert not shelf.there(shelf.old)
    assert shelf.there(shelf.young)
    assert shelf.layout.tags("ml/fraud") == ()
    assert done["swept"]["blobs"] == before - len(shelf.blobs()) >= 7
    assert done["swept"]["bytes"] > 1000
    assert done["cache"] == {"bytes": 0, "removed": 0}
    assert verdicts() == {str(shelf.young): "stays", str(shelf.strange): "stays"}


def test_how_far_history_goes_back_is_a_setting_and_an_option(shelf: Shelf) -> None:
    with closing(shelf.ledger) as ledger:
        for image, version in ((shelf.old, 1), (shelf.young, 2)):
            accepted = ledger.promotions.accept(draft(version))
            ledger.promotions.change(
                accepted.id, phase=Phase.SUCCEEDED, image=image, ended_at=accepted.created_at
            )
    assert verdicts()[str(shelf.old)] == "stays"
    (item,) = (i for i in answer("gc", "--keep", "1")["items"] if i["image"] == str(shelf.old))
    assert item["verdict"] == "goes"
    with (shelf.folder / "laurel.yaml").open("a") as file:
        file.write("history: {keep: 1}\n")
    assert verdicts()[str(shelf.old)] == "goes"
    assert laurel("gc", "--keep", "0").exit_code == 2


def test_what_cannot_be_read_keeps_all_and_exits_with_1(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_asked: object) -> None:
        raise UnavailableError("observe", "the front", "is it running?")

    monkeypatch.setattr(LocalServing, "observe", away)
    told = laurel("gc", "--apply")
    assert told.exit_code == 1
    assert "ml/fraud: nothing is removed: what fraud serves cannot be read" in told.stderr
    assert shelf.there(shelf.old)


def test_what_came_to_be_needed_meanwhile_stays(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needed(_survey: Survey, image: StoredImage) -> Judged:
        return Judged(image, goes=False, why="fraud serves it")

    monkeypatch.setattr(Survey, "still_goes", needed)
    (item,) = (i for i in answer("gc", "--apply")["items"] if i["image"] == str(shelf.old))
    assert (item["verdict"], item["why"]) == ("stays", "fraud serves it")
    assert shelf.there(shelf.old)


def test_a_registry_that_lets_nobody_delete_is_asked_once_and_told(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def forbidden(*what: object) -> None:
        asked.append(what)
        raise ForbiddenError("delete a manifest", "ml/fraud", "let the user delete")

    bake(shelf.layout, layers=(b"another",), labels=labels_of("8"))
    for path in shelf.blobs():
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert list(verdicts().values()).count("goes") == 3
    monkeypatch.setattr(LayoutRegistry, "delete", forbidden)
    told = laurel("gc", "--apply")
    assert told.exit_code == 1
    assert "let the user delete" in told.stderr
    assert len(asked) == 1


def labels_of(version: str) -> dict[str, str]:
    return {**LABELS, "dev.laurel.model.version": version}


def test_beside_a_remote_registry_no_layout_is_swept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUREL_REGISTRY", "localhost:1/ml")
    monkeypatch.setattr(wiring, "open_images", lambda _settings: shelf.layout)
    done = answer("gc", "--apply")
    assert "swept" not in done
    assert done["items"] == []
