"""A real S3 server with its bytes on disk: SeaweedFS, one process on loopback."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config

from tests.servers.certificates import Certificate
from tests.servers.ports import free_ports

KEY, SECRET = "laurel-tests", "the-secret-of-laurels-tests"
BUCKET = "models"
_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc"),
    *("s3.port", "s3.port.grpc"),
)


@dataclass(frozen=True)
class ObjectStorage:
    """A running server; it has one bucket."""

    url: str
    s3: Any

    def put_folder(self, folder: Path, prefix: str) -> str:
        """Store every file of a folder, and return the root's URI."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                key = f"{prefix}/{file.relative_to(folder)}"
                self.s3.upload_file(str(file), BUCKET, key)
        return f"s3://{BUCKET}/{prefix}"


def client(url: str, verify: str | None = None) -> Any:  # noqa: ANN401 - boto3 brings no types
    """Make a boto3 client that takes nothing from this machine's environment."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        verify=verify,
        config=Config(s3={"addressing_style": "path"}),
    )


def settings(url: str) -> dict[str, str]:
    """Name the variables by which boto3's users reach the server, and nothing of this machine."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def running_object_storage(
    folder: Path, certificate: Certificate | None = None
) -> Iterator[ObjectStorage]:
    """Start a server in ``folder``, with TLS where a certificate is given; end it afterwards."""
    ports = dict(zip((*_PORTS, "s3.port.https"), free_ports(len(_PORTS) + 1), strict=True))
    tls = []
    if certificate is None:
        url = f"http://127.0.0.1:{ports['s3.port']}"
    else:
        url = f"https://localhost:{ports['s3.port.https']}"
        tls = [f"-s3.cert.file={certificate.certificate}", f"-s3.key.file={certificate.key}"]
        tls += [f"-s3.port.https={ports['s3.port.https']}"]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("weed")), "mini", f"-dir={folder}"),
                *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"),
                *("-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                f"-filer.localSocket={folder}/filer.sock",
                f"-s3.localSocket={folder}/s3.sock",
                *(f"-{name}={ports[name]}" for name in _PORTS),
                *tls,
            ],
            env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": str(folder)},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        verify = str(certificate.ca_file) if certificate else None
        _wait_until_answered(process, url, verify, folder / "weed.log")
        s3 = client(url, verify=verify)
        s3.create_bucket(Bucket=BUCKET)
        yield ObjectStorage(url, s3)
        s3.close()
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_answered(
    process: subprocess.Popen[bytes], url: str, ca_file: str | None, log: Path
) -> None:
    deadline = time.monotonic() + 60
    with urllib3.PoolManager(retries=False, timeout=5, ca_certs=ca_file) as http:
        while not _answers(http, url):
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
                pytest.fail(f"weed ended: {log.read_text()[-2000:]}")
            assert time.monotonic() < deadline, log.read_text()[-2000:]


def _answers(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", url).status == 403  # it asks for a signature
    except urllib3.exceptions.HTTPError:
        return False
