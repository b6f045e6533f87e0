"""What is said about an image is found from the image."""

import json
from typing import Any

import pytest

from pipeline.domain.oci import EMPTY_JSON, IMAGE_INDEX, IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.manifest import EMPTY, Manifest, parse_index
from pipeline.image.referrers import (
    as_referrer,
    fallback_tag,
    parse_referrers,
    referrer_manifest,
    with_referrer,
    without_referrer,
)

IMAGE = Descriptor(IMAGE_MANIFEST, Digest.of(b"image"), 5, "application/x", {"a": "1"})
BUNDLE = Descriptor(SIGSTORE_BUNDLE, Digest.of(b"bundle"), 6)


def test_a_referrer_has_the_shape_that_cosign_reads() -> None:
    manifest = referrer_manifest(IMAGE, BUNDLE, {"predicate": "p"})
    plain = Descriptor(IMAGE_MANIFEST, IMAGE.digest, 5)
    assert manifest == Manifest(EMPTY, (BUNDLE,), {"predicate": "p"}, SIGSTORE_BUNDLE, plain)


def test_the_index_says_type_and_annotations_of_a_referrer() -> None:
    content = referrer_manifest(IMAGE, BUNDLE, {"predicate": "p"}).to_bytes()
    listed = Descriptor(
        IMAGE_MANIFEST, Digest.of(content), len(content), SIGSTORE_BUNDLE, {"predicate": "p"}
    )
    assert as_referrer(content, IMAGE_MANIFEST) == (IMAGE.digest, listed)


def test_without_an_artifact_type_the_configuration_tells() -> None:
    content = Manifest(EMPTY, (BUNDLE,), subject=IMAGE).to_bytes()
    about = as_referrer(content, IMAGE_MANIFEST)
    assert about is not None
    assert about[1].artifact_type == EMPTY_JSON


def test_images_and_indexes_are_about_nothing() -> None:
    assert as_referrer(Manifest(EMPTY, (BUNDLE,)).to_bytes(), IMAGE_MANIFEST) is None
    assert as_referrer(b"{}", IMAGE_INDEX) is None


def test_the_index_grows_and_lists_each_once() -> None:
    one, two = (Descriptor(IMAGE_MANIFEST, Digest.of(name), 3) for name in (b"one", b"two"))
    index = with_referrer(with_referrer(with_referrer(None, one), two), one)
    assert parse_index(index) == parse_referrers(index) == (two, one)
    assert parse_referrers(None) == ()


def test_the_fallback_tag_has_no_colon() -> None:
    assert fallback_tag(IMAGE.digest) == f"sha256-{IMAGE.digest.hex}"


def test_an_entry_that_is_none_hides_no_other_and_stays_where_it_is() -> None:
    strange: list[Any] = [7, None, {"digest": 7}, {"digest": "sha256:no"}, []]
    index = json.dumps({"manifests": strange, "annotations": {"by": "another"}, "x": 1}).encode()
    after = with_referrer(index, BUNDLE)
    assert parse_referrers(after) == (BUNDLE,)
    assert json.loads(after)["manifests"][:-1] == strange
    assert json.loads(after)["annotations"] == {"by": "another"}
    assert json.loads(after)["x"] == 1


def test_an_entry_is_taken_out_of_the_index_and_nothing_else() -> None:
    index = with_referrer(with_referrer(None, BUNDLE), IMAGE)
    assert without_referrer(index, IMAGE.digest) == with_referrer(None, BUNDLE)
    assert without_referrer(index, Digest.of(b"other")) is None
    assert without_referrer(None, IMAGE.digest) is None


@pytest.mark.parametrize("content", [b"{}", b"[]", b"{", b'{"manifests": {}}', b'{"manifests": 1}'])
def test_what_is_no_list_of_referrers_is_told(content: bytes) -> None:
    with pytest.raises(CorruptedError):
        parse_referrers(content)
    with pytest.raises(CorruptedError):
        with_referrer(content, BUNDLE)


def test_an_index_of_nothing_as_go_writes_it_is_empty() -> None:
    assert parse_referrers(b'{"manifests": null}') == ()


def test_text_that_is_no_unicode_is_refused_and_not_repaired() -> None:
    index = b'{"manifests": [{"annotations": {"half": "\\ud800"}}]}'
    with pytest.raises(CorruptedError, match="write a list of referrers"):
        with_referrer(index, BUNDLE)
