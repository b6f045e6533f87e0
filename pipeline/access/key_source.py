"""An issuer's public keys, over HTTP: bounded in bytes and in time, and never by a redirect."""

import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jwt
import urllib3
from urllib3.exceptions import HTTPError, SSLError

from pipeline.distribution.connections import trust
from pipeline.domain.oidc import address_fault
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.proxies import Pools

ALGORITHMS = ("RS256", "ES256")
"""What GitHub and every other issuer of note signs with; nothing symmetric, and never ``none``."""

Keys = Mapping[str, jwt.PyJWK]

_DISCOVERY = "/.well-known/openid-configuration"
_LARGEST = 1 << 18  # bytes; GitHub's are 8,000
_MOST = 100
_KINDS = ("RSA", "EC")
_LONGEST_KEY = 8192  # bits; longer ones only cost time
_CHUNK = 1 << 16
_SECONDS = 10.0
_TIMEOUT = urllib3.Timeout(connect=3.0, read=5.0)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "laurel"}


class KeySource:
    """Where an issuer publishes its keys.

    Parameters
    ----------
    issuer
        Its URL, as its tokens name it.
    jwks_uri
        Where its keys are; without it, its discovery document says so.
    ca_file
        PEM certificates to trust beside the system's own.

    """

    def __init__(
        self, issuer: str, *, jwks_uri: str | None = None, ca_file: Path | None = None
    ) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        context = trust(ca_file, "auth.oidc.ca_file")
        self._pools = Pools(maxsize=1, retries=False, timeout=_TIMEOUT, ssl_context=context)

    def read(self) -> Keys:
        """Read the keys that are in use now, by their ids.

        Raises
        ------
        UnavailableError
            Where it does not answer, or not with keys.

        """
        try:
            return self._usable(self._get(self._jwks_uri or self._discovered()))
        finally:
            self._pools.close()  # nobody asks again for minutes

    def _discovered(self) -> str:
        said = self._get(self._issuer.rstrip("/") + _DISCOVERY)
        if said.get("issuer") != self._issuer:
            raise self._useless("its discovery document is another issuer's")
        address = said.get("jwks_uri")
        if not isinstance(address, str) or address_fault(address):
            raise self._useless("its discovery document names no jwks_uri over https")
        return address

    def _get(self, url: str) -> dict[str, Any]:
        try:
            response = self._pools.request(
                "GET", url, headers=_HEADERS, redirect=False, preload_content=False
            )
            try:
                if response.status != HTTPStatus.OK:
                    raise self._useless(f"it answers {response.status}")
                content = json.loads(b"".join(self._pieces(response)))
            finally:
                response.close()
        except SSLError as error:
            raise self._useless("its certificate is not trusted: name ca_file") from error
        except HTTPError as error:
            raise self._useless(f"it does not answer ({type(error).__name__})") from error
        except (ValueError, RecursionError) as error:
            raise self._useless("it answers with no JSON") from error
        except ConfigurationError as error:  # a proxy's
            raise self._useless(str(error)) from error
        if not isinstance(content, dict):
            raise self._useless("it answers with another JSON than an object")
        return content

    def _pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        end, size = time.monotonic() + _SECONDS, 0
        while piece := response.read1(_CHUNK, decode_content=False):
            size += len(piece)
            if size > _LARGEST:
                raise self._useless(f"its answer is larger than {_LARGEST >> 10} KiB")
            if time.monotonic() > end:
                raise self._useless(f"its answer is not complete after {_SECONDS:.0f} s")
            yield piece

    def _usable(self, said: Mapping[str, Any]) -> Keys:
        listed = said.get("keys")
        listed = listed[:_MOST] if isinstance(listed, list) else []
        keys = {str(each["kid"]): key for each in listed if (key := _key(each)) is not None}
        if not keys:
            raise self._useless("it lists no key for RS256 or ES256")
        return keys

    def _useless(self, why: str) -> UnavailableError:
        return UnavailableError("read an issuer's keys", self._issuer, why)


def _key(said: object) -> jwt.PyJWK | None:
    """Read one key; those for other purposes, of other kinds or sizes are left out."""
    if not isinstance(said, dict) or not isinstance(said.get("kid"), str):
        return None
    if said.get("kty") not in _KINDS or said.get("use", "sig") != "sig" or "d" in said:
        return None  # with "d" it is a private key, which by now everybody has
    try:
        key = jwt.PyJWK(said)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return key if key.algorithm_name in ALGORITHMS and _sound(key) else None


def _sound(key: jwt.PyJWK) -> bool:
    too_short = key.Algorithm.check_key_length(key.key)
    return not too_short and key.key.key_size <= _LONGEST_KEY
