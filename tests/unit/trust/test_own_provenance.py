from dataclasses import replace

from pipeline.domain.references import Digest
from pipeline.trust.own_provenance import BUILD_TYPE, OwnProvenance
from pipeline.trust.statements import SLSA_PROVENANCE

IMAGE, BASE, LOCK = (Digest.of(name) for name in (b"image", b"base", b"lock"))
MADE = OwnProvenance("0.1.0", "registry.example/laurel", "linux/amd64", "https://ci", BASE, LOCK)


def test_own_provenance_names_all_that_the_image_was_made_of() -> None:
    said = MADE.statement(IMAGE, "2026-11-22T00:00:00Z")
    assert (said.subject, said.predicate_type) == (IMAGE, SLSA_PROVENANCE)
    definition = said.predicate["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"] == {
        "target": {"repository": "registry.example/laurel"},
        "platforms": ["linux/amd64"],
    }
    assert definition["resolvedDependencies"] == [
        {"name": "laurel", "uri": "pkg:pypi/laurel@0.1.0"},
        {"name": "base-image", "digest": {"sha256": BASE.hex}},
        {"name": "requirements.lock", "digest": {"sha256": LOCK.hex}},
    ]
    assert said.predicate["runDetails"] == {
        "builder": {"id": "https://ci", "version": {"laurel": "0.1.0"}},
        "metadata": {"finishedOn": "2026-11-22T00:00:00Z"},
    }


def test_the_same_was_said_whenever_it_was_made_and_nothing_else_was() -> None:
    said = MADE.statement(IMAGE, "2026-11-22T00:00:00Z")
    assert MADE.said_in(said)
    assert not replace(MADE, lock_digest=BASE).said_in(said)
