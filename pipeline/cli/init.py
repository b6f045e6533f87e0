"""``laurel init``: settings and secrets for a first `laurel up`, and what to enter in MLflow."""

from pathlib import Path

import click

from pipeline.cli.asked import Asked, shared, url_of
from pipeline.cli.new_files import Wanted, provide_secret, settings_text, write_new
from pipeline.cli.output import print_json
from pipeline.cli.trust import make_key
from pipeline.domain.webhook import EVENTS, PATH
from pipeline.errors import ConfigurationError

_FERNET_KEY = (
    "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
)
_MLFLOW_ENVIRONMENT = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": ("http,https", "Laurel's receiver is plain http here"),
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": ("true", "and on a private address"),
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": (
        "KEY",
        f"the same at every start, or webhooks break; make one: {_FERNET_KEY}",
    ),
    "MLFLOW_WEBHOOK_CACHE_TTL": ("0", "a new webhook fires at once, not after a minute"),
}


@click.command()
@click.option("--mlflow", metavar="URL", default="http://127.0.0.1:5000", show_default=True)
@click.option("--model", help="The registered model to promote; its alias is `champion`.")
@click.option("--service", help="The service it is rolled out to; default: the model's name.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@shared
def init(asked: Asked, mlflow: str, model: str | None, service: str | None, port: int) -> None:
    """Write laurel.yaml, the webhook's secret and a signing key.

    Says what to enter in MLflow. Nothing is overwritten: a secret or key that is there is kept.
    """
    settings = settings_text(Wanted(mlflow, port, model, service))
    made = _write(asked.config, settings)
    url = f"{url_of('127.0.0.1', port)}{PATH}"
    secret = asked.config.parent / "webhook.secret"
    if asked.json:
        webhook = {"url": url, "secret_file": str(secret), "events": list(EVENTS)}
        environment = {name: value for name, (value, _) in _MLFLOW_ENVIRONMENT.items()}
        written = [str(path) for path in made]
        print_json({"written": written, "webhook": webhook, "mlflow_environment": environment})
    else:
        click.echo(f"wrote {', '.join(str(path) for path in made)}", err=True)
        click.echo(_to_enter(url, secret))


def _write(settings: Path, text: str) -> list[Path]:
    """Write what is missing; laurel.yaml comes last, so that a run cut short can be repeated."""
    if settings.exists():
        raise ConfigurationError(f"{settings} is there already: edit it, or name another --config")
    folder = settings.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"could not make {folder}: {error.strerror}") from error
    made = []
    if provide_secret(folder / "webhook.secret"):
        made.append(folder / "webhook.secret")
    if not (folder / "laurel.key").exists():
        made += make_key(folder / "laurel.key")
    write_new(settings, text)
    return [settings, *made]


def _to_enter(url: str, secret: Path) -> str:
    environment = [
        line
        for name, (value, why) in _MLFLOW_ENVIRONMENT.items()
        for line in (f"  # {why}", f"  {name}={value}")
    ]
    return "\n".join(
        [
            "In MLflow, Settings > Webhooks > Create webhook:",
            f"  URL     {url}",
            f"  Secret  what {secret} holds",
            f"  Events  {', '.join(EVENTS)}",
            "",
            "MLflow's server delivers there when it was started with:",
            *environment,
            "",
            "Then: laurel up. Without the webhook all works too, one poll later.",
        ]
    )
