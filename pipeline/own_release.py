"""What stands behind a release of Laurel: wheel and sdist, signed, and all of it read back.

``python -m pipeline.own_release build FOLDER`` (make dist) makes both, the same bytes wherever the
same checkout is, dated ``SOURCE_DATE_EPOCH``. ``… sign FILE…`` writes ``FILE.sigstore.json`` beside
each file: SLSA provenance, signed with the key of ``LAUREL_CONFIG``. ``… verify IMAGE FILE…``
believes the public key alone, and ends with 1 where the image or a file is not as it was signed.
Bundles are for cosign, too: ``cosign verify-blob-attestation --type slsaprovenance1``.
"""

import gzip
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import uv

from pipeline import wiring
from pipeline.domain.evidence import Refused
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import ConfigurationError, LaurelError
from pipeline.ports import ImageRegistry, Signer
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.trust.attachments import Attested, attestations
from pipeline.trust.bundle import read_bundle
from pipeline.trust.keys import PublicKey
from pipeline.trust.statements import COSIGN_SIGN, SLSA_PROVENANCE, Statement, read_statement

BUILD_TYPE = "https://laurel.dev/build/own-dist/v1"
_EPOCH = "SOURCE_DATE_EPOCH"
_EARLIEST = "315532800"  # 1980: what a zip file can say
_USAGE = "say: build FOLDER, or with LAUREL_CONFIG: sign FILE…, verify REPOSITORY@sha256:… FILE…"


def build(folder: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Make sdist and wheel of the checkout that is the working folder, with this environment.

    Raises
    ------
    ConfigurationError
        With the last that the build said, where it does not build.

    """
    dated = {_EPOCH: _EARLIEST, **environment}
    among = ["--no-build-isolation", "--python", sys.executable, "--offline", "--quiet"]
    done = subprocess.run(
        [uv.find_uv_bin(), "build", *among, "--out-dir", str(folder), "."],
        env=dated,
        umask=0o022,  # modes go into a wheel
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ConfigurationError(f"Laurel's distribution does not build: {done.stderr[-2000:]}")
    name = f"laurel-{version('laurel')}"
    made = folder / f"{name}-py3-none-any.whl", folder / f"{name}.tar.gz"
    _repack(made[1], int(dated[_EPOCH]))
    return made


def _repack(sdist: Path, date: int) -> None:
    """Write it anew without what setuptools puts in of the machine: times, owners, umask."""
    unfinished = sdist.with_suffix(".unfinished")
    with (
        tarfile.open(sdist) as old,
        unfinished.open("wb") as raw,
        gzip.GzipFile("", "wb", mtime=date, fileobj=raw) as packed,
        tarfile.open(fileobj=packed, mode="w") as new,
    ):
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime, member.pax_headers = date, {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    unfinished.replace(sdist)


def sign_file(path: Path, *, signer: Signer, policy: TrustPolicy, source: str) -> Path:
    """Write the bundle that vouches for a file; a file that is the same has the same bundle.

    ``source`` is the commit that it was made of, as ``git+https://…@<commit>``.
    """
    lock = (files("pipeline") / "dockerfiles" / "build.lock").read_bytes()
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": {"file": path.name, "version": version("laurel")},
        "resolvedDependencies": [
            {"name": "source", "uri": source},
            {"name": "build.lock", "digest": {"sha256": Digest.of(lock).hex}},
        ],
    }
    said = {"buildDefinition": definition, "runDetails": {"builder": {"id": policy.builder_id}}}
    statement = Statement(Digest.of(path.read_bytes()), SLSA_PROVENANCE, said)
    bundle = _beside(path)
    bundle.write_bytes(signer.sign_statement(statement.encode()))
    return bundle


def what_fails(
    image: ImageRef, paths: Sequence[Path], *, registry: ImageRegistry, policy: TrustPolicy
) -> tuple[str, ...]:
    """Say what of a release is not vouched for by a key of the policy, a sentence each."""
    keys = [PublicKey.from_pem(pem) for pem in policy.keys]
    return (*_of_image(image, registry, keys), *(f for p in paths for f in _of_file(p, keys)))


def _of_image(image: ImageRef, registry: ImageRegistry, keys: Sequence[PublicKey]) -> Iterator[str]:
    if registry.manifest(image.repository, image.digest.value) is None:
        yield f"{image} is not in the registry"
        return
    wanted = {COSIGN_SIGN: "signature", SLSA_PROVENANCE: "provenance"}
    found = attestations(image, registry=registry, keys=keys, wanted=tuple(wanted))
    kinds = {each.statement.predicate_type for each in found if isinstance(each, Attested)}
    for kind, name in wanted.items():
        if kind not in kinds:
            yield f"{image} has no {name} by the key of the trust policy"


def _of_file(path: Path, keys: Sequence[PublicKey]) -> Iterator[str]:
    if not _beside(path).is_file():
        yield f"{path.name} is not signed: {_beside(path).name} is missing"
        return
    envelope = read_bundle(_beside(path).read_bytes())
    if isinstance(envelope, Refused):
        yield f"{path.name}: {envelope.reason}"
    elif not any(key.verifies(envelope.signature, envelope.signed_bytes) for key in keys):
        yield f"{path.name} is not signed by the key of the trust policy"
    else:
        statement = read_statement(envelope.payload)
        if isinstance(statement, Refused):
            yield f"{path.name}: {statement.reason}"
        elif (statement.subject, _named(statement)) != (Digest.of(path.read_bytes()), path.name):
            yield f"{path.name} is not the file that was signed"


def _named(statement: Statement) -> object:
    """Read which file a statement is about: an older one under a new name is another file."""
    return statement.predicate.get("buildDefinition", {}).get("externalParameters", {}).get("file")


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sigstore.json")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Do as the first argument says."""
    try:
        _run(arguments, environment)
    except LaurelError as error:
        sys.exit(str(error))


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    match arguments:
        case ["build", folder]:
            _tell(build(Path(folder), environment))
        case ["sign", first, *rest]:
            settings = _settings(environment)
            signer, policy = wiring.signer(settings), wiring.trust_policy(settings)
            signed = partial(sign_file, signer=signer, policy=policy)
            source = environment.get("LAUREL_SOURCE", "")
            _tell(signed(Path(path), source=source) for path in (first, *rest))
        case ["verify", image, *paths]:
            settings = _settings(environment)
            failed = what_fails(
                ImageRef.parse(image),
                [Path(path) for path in paths],
                registry=wiring.open_images(settings),
                policy=wiring.trust_policy(settings),
            )
            if failed:
                sys.exit("\n".join(failed))
        case _:
            raise ConfigurationError(_USAGE)


def _settings(environment: Mapping[str, str]) -> Settings:
    if not (config := environment.get("LAUREL_CONFIG")):
        raise ConfigurationError(_USAGE)
    return load_settings(Path(config), environment)


def _tell(made: Iterable[Path]) -> None:
    for path in made:
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
