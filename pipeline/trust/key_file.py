"""Private key files in cosign's encrypted format (sigstore's ``go-securesystemslib/encrypted``).

PEM around base64 of JSON: scrypt parameters, a nonce, and NaCl's secretbox over PKCS#8. cosign
signs with files made here, and Laurel with files made by ``cosign generate-key-pair``.
"""

import base64
import binascii
import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Literal

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from pydantic import Field, ValidationError

from pipeline.errors import ConfigurationError
from pipeline.image.canonical import canonical
from pipeline.trust.keys import PrivateKey
from pipeline.trust.shapes import Base64, Exact, mismatch

_LABEL = "ENCRYPTED SIGSTORE PRIVATE KEY"
_PEM = re.compile(
    rb"\s*-----BEGIN (ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY)-----"
    rb"([A-Za-z0-9+/=\s]+)-----END \1-----\s*"
)
_MAX_FILE = 64 * 1024
_SCRYPT_N = 65536
_SCRYPT_MEMORY = 2**28  # hashlib's default is less than N=65536 needs


def create_key_file(path: Path, password: str) -> PrivateKey:
    """Make a key pair: ``path`` (0600, encrypted) and its public half beside it as ``.pub``.

    Raises
    ------
    ConfigurationError
        When either file is there already (nothing is overwritten), when the password is empty, or
        when the folder cannot be written.

    """
    public = path.with_suffix(".pub")
    if public.exists():
        raise _exists(public)
    key = PrivateKey.generate()
    _write_new(path, encrypt_key(key, password), 0o600)
    _write_new(public, key.public.pem, 0o644)
    return key


def load_key_file(path: Path, password: str) -> PrivateKey:
    """Read a key file made by Laurel or by cosign.

    Raises
    ------
    ConfigurationError
        Naming the file, when it is not such a file, the password does not open it, or the key
        inside is of another kind than ECDSA P-256.

    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
        return decrypt_key(content, password)
    except OSError as error:
        raise ConfigurationError(
            f"signing.key {path}: {error.strerror}; make one with `laurel keys create`"
        ) from error
    except ConfigurationError as error:
        raise ConfigurationError(f"signing.key {path}: {error}") from error


def encrypt_key(key: PrivateKey, password: str) -> bytes:
    """Write ``key`` as the content of a key file; an empty password is refused."""
    salt = secrets.token_bytes(32)
    nonce = secrets.token_bytes(SecretBox.NONCE_SIZE)
    box = SecretBox(_derive(password, salt, _SCRYPT_N))
    body = {
        "kdf": {
            "name": "scrypt",
            "params": {"N": _SCRYPT_N, "r": 8, "p": 1},
            "salt": base64.b64encode(salt).decode(),
        },
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(box.encrypt(key.pkcs8(), nonce).ciphertext).decode(),
    }
    text = base64.encodebytes(canonical(body)).decode()
    return f"-----BEGIN {_LABEL}-----\n{text}-----END {_LABEL}-----\n".encode()


def decrypt_key(content: bytes, password: str) -> PrivateKey:
    """Read the content of a key file.

    Raises
    ------
    ConfigurationError
        As :func:`load_key_file`, without the file's name.

    """
    file = _parse(content)
    box = SecretBox(_derive(password, file.kdf.salt, file.kdf.params.n))
    try:
        secret = box.decrypt(file.ciphertext, file.cipher.nonce)
    except CryptoError:
        raise ConfigurationError(
            "the password does not open it: check signing.password_file or LAUREL_SIGNING__PASSWORD"
        ) from None
    return PrivateKey.from_pkcs8(secret)


class _Params(Exact):
    # cosign's own choices over the years; a free choice would let a file take any amount of memory
    n: Annotated[Literal[32768, 65536, 131072], Field(alias="N")]
    r: Literal[8]
    p: Literal[1]


class _Kdf(Exact):
    name: Literal["scrypt"]
    params: _Params
    salt: Annotated[Base64, Field(min_length=16, max_length=64)]


class _Cipher(Exact):
    name: Literal["nacl/secretbox"]
    nonce: Annotated[Base64, Field(min_length=24, max_length=24)]


class _KeyFile(Exact):
    kdf: _Kdf
    cipher: _Cipher
    ciphertext: Annotated[Base64, Field(min_length=16)]


def _parse(content: bytes) -> _KeyFile:
    pem = _PEM.fullmatch(content) if len(content) <= _MAX_FILE else None
    if pem is None:
        raise ConfigurationError(
            f"this is not a cosign key file: it must begin -----BEGIN {_LABEL}-----;"
            " `cosign import-key-pair` turns a plain PEM key into one"
        )
    try:
        return _KeyFile.model_validate_json(base64.b64decode(pem[2]))
    except binascii.Error:
        raise ConfigurationError("the key file is damaged: its body is not base64") from None
    except ValidationError as error:
        raise ConfigurationError(
            f"the key file is damaged or not one of cosign's ({mismatch(error)})"
        ) from None


def _derive(password: str, salt: bytes, n: int) -> bytes:
    if not password:
        raise ConfigurationError(
            "the password is empty, so the key would lie open:"
            " set signing.password_file or LAUREL_SIGNING__PASSWORD"
        )
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=8, p=1, maxmem=_SCRYPT_MEMORY, dklen=32
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, and never over another one: a key is not made twice."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename, fails where something is there already
        finally:
            draft.unlink()
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise ConfigurationError(f"could not write {path}: {error.strerror}") from error


def _exists(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is there already and is not overwritten: choose another name or move it away"
    )
