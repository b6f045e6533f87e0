"""Signs with a key file in cosign's format: the embedded default, without server or account."""

from pipeline.domain.evidence import Refused
from pipeline.errors import PermanentError
from pipeline.trust.bundle import read_bundle, write_bundle
from pipeline.trust.dsse import IN_TOTO, Envelope, pae
from pipeline.trust.keys import PrivateKey


class KeyFileSigner:
    """A :class:`pipeline.ports.Signer` around one private key that was read from its file."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the public key's SPKI DER."""
        return self._key.public.key_id

    @property
    def public_key_pem(self) -> bytes:
        """The public half, for the trust policy and for people who verify with cosign."""
        return self._key.public.pem

    def sign_statement(self, statement: bytes) -> bytes:
        """Wrap an in-toto statement into a signed v0.3 bundle.

        Raises
        ------
        PermanentError
            When the bundle, read back, does not verify: a damaged key pair signs nothing.

        """
        signature = self._key.sign(pae(IN_TOTO, statement))
        bundle = write_bundle(Envelope(IN_TOTO, statement, signature), self._key.public.hint)
        read = read_bundle(bundle)
        if isinstance(read, Refused) or not self._key.public.verifies(
            read.signature, read.signed_bytes
        ):
            raise PermanentError(
                "sign a statement", f"key {self.key_id[:12]}", "its halves do not fit: replace it"
            )
        return bundle
