import base64
import json
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.trust.key_file import create_key_file, decrypt_key, encrypt_key, load_key_file
from pipeline.trust.keys import PrivateKey

PASSWORD = "correct horse battery staple"
LABEL = "ENCRYPTED SIGSTORE PRIVATE KEY"


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="module")
def content(key: PrivateKey) -> bytes:
    return encrypt_key(key, PASSWORD)


def test_a_key_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "laurel.key"
    made = create_key_file(path, PASSWORD)
    assert load_key_file(path, PASSWORD) == made
    assert (tmp_path / "laurel.pub").read_bytes() == made.public.pem
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["laurel.key", "laurel.pub"]


@pytest.mark.parametrize("name", ["laurel.key", "laurel.pub"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match=f"{name} is there already and is not overwritten"):
        create_key_file(tmp_path / "laurel.key", PASSWORD)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"could not write .*/absent/laurel.key"):
        create_key_file(tmp_path / "absent" / "laurel.key", PASSWORD)


def test_an_empty_password_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="the password is empty"):
        create_key_file(tmp_path / "laurel.key", "")
    with pytest.raises(ConfigurationError, match="the password is empty"):
        decrypt_key(content, "")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"No such file .* `laurel keys create`"):
        load_key_file(tmp_path / "laurel.key", PASSWORD)


def test_older_cosigns_label_is_read(key: PrivateKey, content: bytes) -> None:
    assert decrypt_key(content.replace(b"SIGSTORE", b"COSIGN"), PASSWORD) == key


def test_13_a_wrong_password_opens_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "laurel.key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"laurel.key: the password does not open it"):
        load_key_file(path, "wrong")


def _costly(file: dict[str, Any]) -> None:
    file["kdf"]["params"]["N"] = 2**30


def _short_nonce(file: dict[str, Any]) -> None:
    file["cipher"]["nonce"] = base64.b64encode(b"short").decode()


def _other_kdf(file: dict[str, Any]) -> None:
    file["kdf"]["name"] = "argon2"


def _extra(file: dict[str, Any]) -> None:
    file["comment"] = "x"


def _text_for_number(file: dict[str, Any]) -> None:
    file["kdf"]["params"]["N"] = "65536"


@pytest.mark.parametrize(
    ("doctor", "why"),
    [
        (_costly, "kdf.params.N: Input should be 32768, 65536 or 131072"),
        (_short_nonce, "cipher.nonce"),
        (_other_kdf, "kdf.name"),
        (_extra, "comment"),
        (_text_for_number, "kdf.params.N"),
    ],
)
def test_13_a_doctored_key_file_is_refused(
    content: bytes, doctor: Callable[[dict[str, Any]], None], why: str
) -> None:
    body = json.loads(base64.b64decode(b"".join(content.splitlines()[1:-1])))
    doctor(body)
    with pytest.raises(ConfigurationError, match=why):
        decrypt_key(pem(base64.b64encode(json.dumps(body).encode())), PASSWORD)


@pytest.mark.parametrize(
    ("body", "why"), [(b"AAA", "its body is not base64"), (b"e30=", "kdf: Field required")]
)
def test_13_a_damaged_key_file_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        decrypt_key(pem(body), PASSWORD)


def test_13_a_plain_pem_key_is_refused(key: PrivateKey) -> None:
    plain = b"-----BEGIN PRIVATE KEY-----\n%b\n-----END PRIVATE KEY-----\n"
    with pytest.raises(ConfigurationError, match="this is not a cosign key file"):
        decrypt_key(plain % base64.b64encode(key.pkcs8()), PASSWORD)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "laurel.key").write_bytes(pem(b"A" * 100_000))
    with pytest.raises(ConfigurationError, match="this is not a cosign key file"):
        load_key_file(tmp_path / "laurel.key", PASSWORD)


def test_25_neither_errors_nor_representations_show_secrets(
    key: PrivateKey, content: bytes
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decrypt_key(content, PASSWORD + "?")
    secret = key.pkcs8()
    for shown in (repr(key), str(key), "".join(traceback.format_exception(caught.value))):
        assert PASSWORD not in shown
        assert secret.hex() not in shown
        assert repr(secret[40:60])[2:-1] not in shown
        assert base64.b64encode(secret).decode() not in shown


def pem(body: bytes) -> bytes:
    return f"-----BEGIN {LABEL}-----\n{body.decode()}\n-----END {LABEL}-----\n".encode()
