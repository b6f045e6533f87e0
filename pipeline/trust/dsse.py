"""DSSE: what exactly is signed when a statement is (secure-systems-lab/dsse, protocol.md)."""

from dataclasses import dataclass

IN_TOTO = "application/vnd.in-toto+json"


def pae(payload_type: str, payload: bytes) -> bytes:
    """Encode type and payload so that neither can be taken for the other (PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, what it is, and one DER signature over both."""

    payload_type: str
    payload: bytes
    signature: bytes

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return pae(self.payload_type, self.payload)
