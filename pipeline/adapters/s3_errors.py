"""What boto3 raises, as errors that say what to do; no credential and no key id is in them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from pipeline.adapters.artifact_listing import ATTEMPTED
from pipeline.errors import (
    CorruptedError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    StepError,
    UnavailableError,
)

_CODE = re.compile(r"[A-Za-z0-9.]{1,60}\Z")
_REGION = re.compile(r"[a-z0-9-]{1,40}\Z")
_BUSY = frozenset({"SlowDown", "TooManyRequests", "RequestLimitExceeded", "Throttling"})
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_CHANGED = frozenset({HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_HINTS = {
    "NoSuchBucket": "this S3 has no such bucket; is AWS_ENDPOINT_URL_S3 the one MLflow writes to?",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "ExpiredToken": "the credentials' time is over: renew them",
    "InvalidObjectState": "the object is archived: restore it first",
}
_TRUST = (
    "its certificate is not trusted: name the authority's file in AWS_CA_BUNDLE "
    "(verification cannot be turned off, MLFLOW_S3_IGNORE_TLS is not obeyed)"
)


@contextmanager
def translated(subject: str, origin: Callable[[], str]) -> Iterator[None]:
    """Raise Laurel's errors for boto3's; ``origin`` says where the credentials came from."""
    from botocore import exceptions as boto  # noqa: PLC0415 - 0.3 s that most promotions need not

    try:
        yield
    except boto.ClientError as error:
        raise _answered(error.response, subject, origin) from error
    except boto.FlexibleChecksumError as error:
        raise CorruptedError(ATTEMPTED, subject, "S3's checksum is of other bytes") from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.NoAuthTokenError) as error:
        raise ForbiddenError(ATTEMPTED, subject, f"S3 wants credentials; {origin()}") from error
    except boto.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise PermanentError(ATTEMPTED, subject, _TRUST) from error
        raise _away(subject, error) from error
    except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError) as error:
        raise _away(subject, error) from error
    except (boto.CredentialRetrievalError, boto.MetadataRetrievalError) as error:
        raise UnavailableError(
            ATTEMPTED,
            f"the machine's credentials for {subject}",
            f"whoever hands them out does not answer ({type(error).__name__})",
        ) from error
    except boto.BotoCoreError as error:
        raise PermanentError(
            ATTEMPTED,
            subject,
            f"boto3 cannot go on ({type(error).__name__}): look at the AWS_* variables, "
            "the shared AWS files and the model's artifact URI",
        ) from error
    except ValueError as error:  # half a header: the connection broke there, and nobody noticed
        raise _away(subject, error) from error


def _away(subject: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        ATTEMPTED,
        f"S3, {subject}",
        f"it does not answer, or not to the end ({type(error).__name__}); "
        "look at it, and at AWS_ENDPOINT_URL_S3 and the region where they are set",
    )


def _answered(response: dict[str, Any], subject: str, origin: Callable[[], str]) -> StepError:
    """Make the error for an answer; of its text, which is not ours, only the code is repeated."""
    meta = response.get("ResponseMetadata", {})
    status, headers = meta.get("HTTPStatusCode", 0), meta.get("HTTPHeaders", {})
    code = str(response.get("Error", {}).get("Code", ""))
    said = f"S3 answers {status} {code if _CODE.match(code) else ''}".rstrip()
    if code in _ELSEWHERE or status == HTTPStatus.MOVED_PERMANENTLY:
        return PermanentError(ATTEMPTED, subject, f"{said}: {_where(headers)}")
    if status in _CHANGED:
        return CorruptedError(
            ATTEMPTED, subject, "it changed while it was read; promote the version again"
        )
    if hint := _HINTS.get(code):
        kind = NotFoundError if status == HTTPStatus.NOT_FOUND else ForbiddenError
        return kind(ATTEMPTED, subject, f"{said}: {hint}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ForbiddenError(
            ATTEMPTED, subject, f"{said}: allow s3:GetObject and s3:ListBucket; {origin()}"
        )
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(ATTEMPTED, subject, f"{said}: was it deleted?")
    return _for_now(status, code, said, subject, headers)


def _for_now(status: int, code: str, said: str, subject: str, headers: dict[str, str]) -> StepError:
    wait = headers.get("retry-after", "")
    after = float(wait) if wait.isdecimal() else None
    if code in _BUSY or status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(
            ATTEMPTED, f"S3, {subject}", f"{said}: it asks for fewer requests", retry_after=after
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code == "RequestTimeout":
        return UnavailableError(ATTEMPTED, f"S3, {subject}", said, retry_after=after)
    return PermanentError(
        ATTEMPTED, subject, f"{said}: does AWS_ENDPOINT_URL_S3 lead to the S3 that MLflow uses?"
    )


def _where(headers: dict[str, str]) -> str:
    region = headers.get("x-amz-bucket-region", "")
    named = region if _REGION.match(region) else "the bucket's region"
    return f"the bucket lies in another region: set AWS_DEFAULT_REGION to {named}"
