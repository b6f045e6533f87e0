"""A certificate authority of the cluster's own, and kubeconfigs for those it vouches for."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)
_WEEKS = timedelta(days=30)


class Keys:
    """A folder of PEM files: ``ca.crt``, and ``NAME.crt`` and ``NAME.key`` for each name."""

    def __init__(self, folder: Path) -> None:
        """Make an authority in an empty folder."""
        folder.mkdir(mode=0o700, parents=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("laurel-cluster")
        authority = (
            _certificate(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, SHA256())
        )
        (folder / "ca.crt").write_bytes(authority.public_bytes(Encoding.PEM))

    def vouch(
        self,
        name: str,
        common: str,
        *,
        group: str = "",
        names: Iterable[str] = (),
        at: Iterable[str] = (),
    ) -> None:
        """Write a certificate for a client and server: its names, and the addresses it is at."""
        key = ec.generate_private_key(ec.SECP256R1())
        said = [*map(x509.DNSName, names), *(x509.IPAddress(ip_address(each)) for each in at)]
        made = _certificate(_name(common, group), self._name, key.public_key())
        made = made.add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        if said:
            made = made.add_extension(x509.SubjectAlternativeName(said), critical=False)
        signed = made.sign(self._key, SHA256())
        (self.folder / f"{name}.crt").write_bytes(signed.public_bytes(Encoding.PEM))
        self._write_key(f"{name}.key", key)

    def signer(self, name: str) -> None:
        """Write a key pair that signs service accounts' tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._write_key(f"{name}.key", key)
        (self.folder / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        )


def kubeconfig(
    path: Path, server: str, authority: Path, user: dict[str, str], namespace: str = "default"
) -> Path:
    """Write a kubeconfig of one cluster, one user and one namespace."""
    path.touch(mode=0o600)
    cluster = {"server": server, "certificate-authority": str(authority)}
    said = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "laurel",
        "contexts": [
            {
                "name": "laurel",
                "context": {"cluster": "laurel", "user": "laurel", "namespace": namespace},
            }
        ],
        "clusters": [{"name": "laurel", "cluster": cluster}],
        "users": [{"name": "laurel", "user": user}],
    }
    path.write_text(yaml.safe_dump(said))
    return path


def _name(common: str, group: str = "") -> x509.Name:
    said = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if group:
        said.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(said)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _WEEKS)
    )
