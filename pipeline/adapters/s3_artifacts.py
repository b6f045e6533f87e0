"""Model files in ``s3://`` (``ports.ArtifactStore``): AWS, and whatever speaks its language."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pipeline.adapters.artifact_listing import ATTEMPTED, listed, require_inside
from pipeline.adapters.ranged import Answer, in_order, total_of
from pipeline.adapters.s3_client import S3Client, owner
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import PermanentError, UnavailableError

_CHUNK = 1 << 20


class S3Artifacts:
    """Reads ``s3://bucket/folder`` roots, large files in parts; one client for all of them."""

    def __init__(self) -> None:
        self._s3 = S3Client()

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every object below the root; markers of folders are no files."""
        bucket, prefix = _root(artifact_uri)
        with self._s3.asked_for(f"s3://{bucket}/{prefix}") as client:
            pages = client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, **owner()
            )
            return listed(
                StoredFile(each["Key"].removeprefix(prefix), each["Size"])
                for page in pages
                for each in _contents(page, bucket)
                if each["Size"] or not each["Key"].endswith("/")
            )

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream a listed object; ``CorruptedError`` where it is another one by now."""
        require_inside(file.path)
        return in_order(_Object(self._s3, *_root(artifact_uri), file), file)


class _Object:
    """One object in parts (:class:`pipeline.adapters.ranged.Parts`)."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str, file: StoredFile) -> None:
        self._s3 = s3
        self._asked = {"Bucket": bucket, "Key": prefix + file.path, **owner()}
        self._size = file.size
        self._subject = f"s3://{bucket}/{prefix}{file.path}"

    @contextmanager
    def open(self, first: int, last: int, etag: str) -> Iterator[Answer]:
        """Ask for a part; for all of it without a range, so that boto3 compares the checksum."""
        whole = first == 0 and last + 1 == self._size
        asked = self._asked | ({} if whole else {"Range": f"bytes={first}-{last}"})
        asked |= {"IfMatch": etag} if etag else {}
        with self._s3.asked_for(self._subject) as client:
            answer = client.get_object(**asked)
            with closing(answer["Body"]) as body:
                if not whole and answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.OK:
                    raise PermanentError(
                        ATTEMPTED,
                        self._subject,
                        "this S3, or a proxy before it, does not answer ranges: mend that",
                    )
                total = (
                    str(answer.get("ContentLength", "")) if whole else answer.get("ContentRange")
                )
                yield Answer(answer.get("ETag", ""), total_of(total), body.iter_chunks(_CHUNK))


def _contents(page: dict[str, Any], bucket: str) -> list[dict[str, Any]]:
    """Read the objects of a page; one that broke off is, to boto3, a page without any."""
    if "IsTruncated" not in page:
        raise UnavailableError(
            ATTEMPTED,
            f"S3, bucket {bucket}",
            "its answer broke off or is no listing: does AWS_ENDPOINT_URL_S3 lead to an S3?",
        )
    contents: list[dict[str, Any]] = page.get("Contents", [])
    return contents


def _root(artifact_uri: str) -> tuple[str, str]:
    """Split the root into bucket and prefix as MLflow does, which unquotes nothing."""
    parts = urlsplit(artifact_uri)
    if not parts.netloc or "@" in parts.netloc:
        raise PermanentError(
            ATTEMPTED,
            "an s3: artifact URI",
            "it must be s3://bucket/folder; credentials belong where boto3 looks for them",
        )
    prefix = parts.path.removeprefix("/").rstrip("/")
    return parts.netloc, f"{prefix}/" if prefix else ""
