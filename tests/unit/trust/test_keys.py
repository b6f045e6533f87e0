import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pipeline.errors import ConfigurationError
from pipeline.trust.keys import PrivateKey, PublicKey

OTHERS = [
    (ec.generate_private_key(ec.SECP384R1()), "ECDSA secp384r1"),
    (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    (rsa.generate_private_key(65537, 2048), "RSA"),
]


@pytest.mark.parametrize(("key", "kind"), OTHERS, ids=[kind for _, kind in OTHERS])
def test_13_other_kinds_of_key_are_refused_by_name(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, kind: str
) -> None:
    secret = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(ConfigurationError, match=f"of kind {kind}: use ECDSA P-256"):
        PrivateKey.from_pkcs8(secret)
    with pytest.raises(ConfigurationError, match=f"of kind {kind}: use ECDSA P-256"):
        PublicKey.from_pem(public)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="this is not a public key"):
        PublicKey.from_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ConfigurationError, match="this holds no PKCS#8 private key"):
        PrivateKey.from_pkcs8(b"x")


def test_a_public_key_survives_its_file() -> None:
    public = PrivateKey.generate().public
    assert PublicKey.from_pem(public.pem) == public
    assert len(public.key_id) == 64


def test_signing_again_gives_the_same_signature() -> None:
    key = PrivateKey.generate()
    assert key.sign(b"statement") == key.sign(b"statement")
    assert key.public.verifies(key.sign(b"statement"), b"statement")
    assert not key.public.verifies(key.sign(b"statement"), b"Statement")
