"""Keys, and whether an image is to be trusted; both work without a server."""

import os
from pathlib import Path

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import refuse
from pipeline.cli.new_files import provide_secret
from pipeline.cli.output import Table, print_json, show
from pipeline.domain.references import ImageRef
from pipeline.errors import ConfigurationError

_PASSWORD = "LAUREL_SIGNING__PASSWORD"  # noqa: S105 - the variable's name


@click.command()
@click.argument("image", metavar="REPOSITORY@sha256:...")
@shared
def verify(asked: Asked, image: str) -> None:
    """Hold an image against the trust policy.

    So does Laurel before an image gets any traffic; no server is needed.
    """
    from pipeline import wiring
    from pipeline.trust.verifier import examine

    ref, settings = ImageRef.parse(image), asked.settings()
    policy = wiring.trust_policy(settings)
    plans = settings.plans().values()
    copy_from = {p.copy_from for p in plans if p.copy_from and p.repository == ref.repository}
    registry = wiring.open_images(settings)
    seen = examine(ref, registry=registry, policy=policy, copy_from=sorted(copy_from))
    findings = [
        {"requirement": each.requirement, "verdict": each.verdict, "why": each.why}
        for each in seen.findings
    ]
    trusted = seen.trusted is not None
    over = list(seen.passed_over)
    result = {"image": image, "trusted": trusted, "findings": findings, "passed_over": over}
    rows = [tuple(finding.values()) for finding in findings]
    table = Table(("requirement", "verdict", "why"), rows)
    show(result, table, as_json=asked.json)
    if not trusted:
        refuse(seen.refusal().reason)


@click.group()
def keys() -> None:
    """Make and show signing keys, in cosign's format."""


@keys.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="laurel.key",
    show_default=True,
    help="The private key; the public one is put beside it as .pub.",
)
@shared
def create(asked: Asked, out: Path) -> None:
    """Make a key pair; its password is $LAUREL_SIGNING__PASSWORD, or made into OUT.password."""
    made = [str(path) for path in make_key(out)]
    if asked.json:
        print_json({"written": made})
    else:
        click.echo("\n".join(made))


@keys.command("show")
@shared
def show_keys(asked: Asked) -> None:
    """Print the public keys whose signatures are trusted, in PEM."""
    from pipeline import wiring
    from pipeline.trust.keys import PublicKey

    trusted = [PublicKey.from_pem(pem) for pem in wiring.trust_policy(asked.settings()).keys]
    if asked.json:
        print_json([{"key_id": key.key_id, "pem": key.pem.decode()} for key in trusted])
    else:
        click.echo("".join(key.pem.decode() for key in trusted), nl=False)


def make_key(path: Path) -> list[Path]:
    """Make a key pair, and a password where none is given; return the files that were written.

    Raises
    ------
    ConfigurationError
        Where a key is there already, or the folder cannot be written.

    """
    from pipeline.trust.key_file import create_key_file

    if path.exists():
        raise ConfigurationError(f"{path} is there already and is not overwritten: name another")
    made = [path, path.with_suffix(".pub")]
    password = os.environ.get(_PASSWORD)
    if password is None:
        file = path.with_name(f"{path.name}.password")
        made += [file] if provide_secret(file) else []
        password = file.read_text("utf-8").rstrip("\r\n")
    create_key_file(path, password)
    return made
