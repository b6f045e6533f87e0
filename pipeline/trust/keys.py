"""P-256 keys: the one kind that every cosign since 2.6 accepts with SHA-256 (cosign#5092)."""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that verifies; ``spki`` is its SubjectPublicKeyInfo in DER (RFC 5280)."""

    spki: bytes
    _key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read a public key file such as cosign's ``cosign.pub``.

        Raises
        ------
        ConfigurationError
            When it is no public key, or one of another kind than ECDSA P-256.

        """
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigurationError(
                "this is not a public key: give a PEM file that begins -----BEGIN PUBLIC KEY-----"
            ) from None
        return cls.of(key)

    @classmethod
    def of(cls, key: object) -> Self:
        """Take ``cryptography``'s key, if it is a P-256 one."""
        if not (isinstance(key, ec.EllipticCurvePublicKey) and _is_p256(key.curve)):
            raise _other_kind(key)
        return cls(
            key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            key,
        )

    @property
    def pem(self) -> bytes:
        """The key as a PEM file."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of ``spki``: how Laurel names this key to people."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def hint(self) -> str:
        """Base64 SHA-256 of ``spki``: how a sigstore bundle names this key."""
        return base64.b64encode(hashlib.sha256(self.spki).digest()).decode()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` (DER) is this key's ECDSA-SHA256 signature over ``message``."""
        try:
            self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """The half that signs; no representation of it shows the secret."""

    public: PublicKey
    _key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls.of(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pkcs8(cls, der: bytes) -> Self:
        """Read an unencrypted PKCS#8 key.

        Raises
        ------
        ConfigurationError
            When it is no private key, or one of another kind than ECDSA P-256.

        """
        try:
            key = serialization.load_der_private_key(der, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError("this holds no PKCS#8 private key: make a new one") from None
        return cls.of(key)

    @classmethod
    def of(cls, key: object) -> Self:
        """Take ``cryptography``'s key, if it is a P-256 one."""
        if not (isinstance(key, ec.EllipticCurvePrivateKey) and _is_p256(key.curve)):
            raise _other_kind(key)
        return cls(PublicKey.of(key.public_key()), key)

    def pkcs8(self) -> bytes:
        """Write the secret in PKCS#8 DER, for a key file that encrypts it."""
        return self._key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, message: bytes) -> bytes:
        """Sign with ECDSA-SHA256, in DER.

        Deterministic (RFC 6979): signing the same statement again gives the same bundle, so a step
        that runs twice, or on two machines at once, attaches the same bytes.
        """
        return self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def _is_p256(curve: ec.EllipticCurve) -> bool:
    return isinstance(curve, ec.SECP256R1)


def _other_kind(key: object) -> ConfigurationError:
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        kind = f"ECDSA {key.curve.name}"
    else:
        kind = type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")
    return ConfigurationError(
        f"this is a key of kind {kind}: use ECDSA P-256, which every cosign verifies (laurel keys)"
    )
