"""Callers whom somebody else vouches for: tokens of OIDC issuers, such as GitHub Actions.

::

    key_source.py   an issuer's public keys over HTTP: bounded, TLS, no redirects
    issuer_keys.py  the same, kept: rotation, an issuer that is down, callers that invent keys
    id_tokens.py    a token to the caller it names, by PyJWT and the rules of auth.oidc

It knows nothing of Laurel's own tokens, which are the ledger's, nor of HTTP calls to Laurel.
"""
