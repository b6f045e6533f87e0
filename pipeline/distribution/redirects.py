"""Where a registry sends readers: blobs may lie elsewhere, and only reading is sent on.

A manifest that another host answers would be another registry's word, and an upload that is sent on
would take the bytes, and who sends them, to somebody who was not asked.
"""

from http import HTTPStatus

import urllib3

from pipeline.distribution.addresses import Address
from pipeline.distribution.request import Request
from pipeline.distribution.schemes import Schemes
from pipeline.errors import PermanentError

MOST = 5
_READS = frozenset({"GET", "HEAD"})
_ELSEWHERE = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


def redirects(response: urllib3.BaseHTTPResponse) -> bool:
    """Tell whether a response sends us on."""
    return response.status in _ELSEWHERE


def redirected(
    request: Request, asked: Address, response: urllib3.BaseHTTPResponse, schemes: Schemes
) -> Address:
    """Read where the response to a request to ``asked`` sends us; raise where we do not go."""
    there = asked.leads_to(response.headers.get("Location", ""))
    if there is None:
        raise _refused(request, asked, "an address that is no URL")
    if request.method not in _READS:
        raise _refused(request, asked, f"{there.authority}, and only reading is sent on")
    if there.party != asked.party and "/blobs/" not in request.target:
        raise _refused(request, asked, f"another host, {there.authority}, for what is no blob")
    if schemes.misleads(there, asked):
        raise _refused(request, asked, f"{there.authority}, which only this machine reaches")
    if not schemes.allow(there, asked):
        raise _refused(request, asked, f"{there.authority} without TLS")
    return there


def too_many(request: Request, asked: Address) -> PermanentError:
    """Make the error for redirects that do not end."""
    return _refused(request, asked, f"yet another address, {MOST} times in a row")


def _refused(request: Request, asked: Address, where: str) -> PermanentError:
    return PermanentError(
        request.attempted,
        request.subject,
        f"{asked.authority} redirects to {where}; ask its owner",
    )
