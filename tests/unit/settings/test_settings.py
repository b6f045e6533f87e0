"""laurel.yaml is read once; a mistake in it is answered with the key, and secrets stay hidden."""

from pathlib import Path

import pytest

from pipeline.domain.plan import EnvVar, NoData, OnReturn
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.wiring.access import rollback_secrets


def write(folder: Path, text: str) -> Path:
    path = folder / "laurel.yaml"
    path.write_text(text)
    return path


def load(folder: Path, text: str, **environment: str) -> Settings:
    return load_settings(write(folder, text), environment)


def test_an_empty_file_gives_the_embedded_defaults_beside_it(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.ledger == f"sqlite:///{tmp_path}/laurel.db"
    assert settings.registry.folder == tmp_path / "images"
    assert settings.webhook.secret_files == (tmp_path / "webhook.secret",)
    assert settings.worker.engine == tmp_path / "laurel-engine.db"
    assert settings.plans() == {}


def test_a_service_becomes_the_plan_that_its_promotions_keep(tmp_path: Path) -> None:
    plan = load(
        tmp_path,
        """
        mlflow: {workspace: team-a}
        services:
          - name: fraud
            model: Fraud Scorer
            env: [{name: REGION, value: eu}]
            require: {tags: {validated: "true"}, metrics: {auc: " >= 0.90"}}
            canary: {steps: [5, 50], interval: 10m, min_samples: 20, no_data: fail, deadline: 2h}
            analysis: {errors: {max_increase: 0.02}, confidence: 0.95}
            on_return: canary
        """,
    ).plans()["fraud"]
    assert (plan.workspace, plan.alias, plan.runtime) == ("team-a", "champion", "auto")
    assert plan.repository.startswith("fraud-scorer-x")
    assert plan.env == (EnvVar("REGION", "eu"),)
    assert plan.required_tags == {"validated": "true"}
    assert plan.required_metrics == {"auc": ">= 0.90"}
    assert (plan.canary.steps, plan.canary.interval, plan.canary.deadline) == ((5, 50), 600, 7200)
    assert plan.canary.no_data is NoData.FAIL
    assert (plan.analysis.errors_max_increase, plan.analysis.confidence) == (0.02, 0.95)
    assert plan.on_return is OnReturn.CANARY


def test_a_threshold_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"require\.metrics\.auc: .*write >= 0\.90"):
        load(tmp_path, "services: [{name: f, model: m, require: {metrics: {auc: high}}}]")


@pytest.mark.parametrize("base", ["host", f"python:3.11-slim@sha256:{'a' * 64}"])
def test_a_base_is_this_host_or_an_image_by_digest(tmp_path: Path, base: str) -> None:
    settings = load(tmp_path, f"services: [{{name: fraud, model: m, base: '{base}'}}]")
    assert settings.plans()["fraud"].base == base


def test_short_forms_stand_for_their_section(tmp_path: Path) -> None:
    settings = load(tmp_path, "serving: local\nmetrics: envoy\n")
    assert (settings.serving.target, settings.metrics.source) == ("local", "envoy")


def test_secrets_come_from_the_environment_and_are_never_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, "", LAUREL_MLFLOW__PASSWORD="hunter2", LAUREL_TOKEN="not-a-setting")
    assert settings.mlflow.password is not None
    assert settings.mlflow.password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)


def test_secret_files_may_be_a_list_while_a_secret_is_rotated(tmp_path: Path) -> None:
    settings = load(tmp_path, "webhook: {secret_file: [new.secret, /run/old.secret]}")
    assert settings.webhook.secret_files == (tmp_path / "new.secret", Path("/run/old.secret"))


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("", []),
        ("rollback: {secret_file: a.secret}", ["a.secret"]),
        ("rollback: {secret_file: [a.secret, b.secret]}", ["a.secret", "b.secret"]),
    ],
)
def test_calls_for_a_rollback_have_secrets_of_their_own_or_none(
    tmp_path: Path, text: str, files: list[str]
) -> None:
    for name in files:
        (tmp_path / name).write_text(f"{name}\n")
    settings = load(tmp_path, text)
    assert settings.rollback.secret_files == tuple(tmp_path / name for name in files)
    assert rollback_secrets(settings) == [name.encode() for name in files]


def test_whether_a_rollback_moves_the_alias_is_in_every_plan(tmp_path: Path) -> None:
    services = "services: [{name: fraud, model: m}]"
    assert not load(tmp_path, services).plans()["fraud"].move_alias
    settings = load(tmp_path, f"rollback: {{move_alias: true}}\n{services}")
    assert settings.plans()["fraud"].move_alias


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mlflw: {}", "mlflw: unknown key, did you mean mlflow?"),
        ("mlflow: {pol: 3s}", r"mlflow\.pol: unknown key, did you mean poll\?"),
        ("services: [{name: a, model: m, canary: {intervall: 3s}}]", "did you mean interval?"),
        ("zzz: 1", "zzz: unknown key$"),
        ("mlflow: {poll: soon}", "'soon' is no duration: write 500ms"),
        ("worker: {cache_limit: lots}", "'lots' is no size: write 500MB"),
        ("worker: {cache_limit: 5 gb}", "'5 gb' is no size"),
        ("worker: {cache_limit: -1}", "worker.cache_limit: Input should be greater"),
        ("history: {keep: 0}", "history.keep: Input should be greater"),
        ("mlflow: {poll: 0}", "greater than 0"),
        ("services: [{name: Fraud, model: m}]", "'Fraud' is not a service name"),
        ("services: [{name: a, model: m}, {name: a, model: n}]", "each name may stand once"),
        ("services: [{name: a, model: m, canary: {steps: [50, 10]}}]", r"\[50, 10\] must rise"),
        ("services: [{name: a, model: m, canary: {steps: [10, 10]}}]", "must rise"),
        ("services: [{name: a, model: m, canary: {steps: [100]}}]", "less than or equal to 99"),
        ("services: [{name: a, model: m, runtime: flask}]", "mlserver"),
        ("services: [{name: a, model: m, base: 'python:3.11'}]", "write python:3.11@sha256:…"),
        ("- a list", "must hold keys"),
        ("a: [", "is not YAML"),
        ("x: " + "y" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, text)


def test_a_variable_cannot_set_a_key_of_a_single_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LAUREL_LEDGER__PORT"):
        load(tmp_path, "ledger: sqlite:///l.db", LAUREL_LEDGER__PORT="1")


def test_a_missing_file_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="laurel init"):
        load_settings(tmp_path / "laurel.yaml", {})


def test_a_wrong_secret_is_not_echoed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, "signing: {password: [hunter2]}")
    assert "hunter2" not in str(raised.value)


def test_settings_made_in_code_keep_their_paths_as_they_are() -> None:
    assert Settings().registry.location == "oci-layout:./images"


SERVICES = (
    "services: [{name: fraud, model: Fraud Scorer}, {name: eu, model: m, repository: team/m}]"
)


def test_repositories_stand_below_the_registry(tmp_path: Path) -> None:
    plans = load(tmp_path, f"registry: localhost:5000/ml\n{SERVICES}").plans()
    assert plans["fraud"].repository.startswith("localhost:5000/ml/fraud-scorer-x")
    assert plans["eu"].repository == "localhost:5000/ml/team/m"
    assert load(tmp_path, SERVICES).plans()["eu"].repository == "team/m"


def test_a_repository_that_names_its_registry_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "services: [{name: f, model: m, copy_from: dev.example.com/ml/m}]"
    plans = load(tmp_path, f"registry: localhost:5000/ml\n{text}").plans()
    assert plans["f"].copy_from == "dev.example.com/ml/m"
    assert plans["f"].repository == "localhost:5000/ml/m"


def test_the_registry_can_be_set_from_outside(tmp_path: Path) -> None:
    outside = {"LAUREL_REGISTRY": "localhost:5000/ml", "LAUREL_REGISTRY__CA_FILE": "ca.pem"}
    settings = load(tmp_path, "registry: oci-layout:./here", **outside)
    assert settings.registry.location == "localhost:5000/ml"
    assert settings.registry.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize("location", ["images", "ml/fraud", "Registry.example.com/ML", ""])
def test_what_names_neither_folder_nor_registry_is_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(ConfigurationError, match=r"registry\.location"):
        load(tmp_path, f"registry: {location!r}")


@pytest.mark.parametrize("platform", ["amd64", "windows/amd64", "linux/amd64\n"])
def test_what_is_no_platform_of_linux_is_refused(tmp_path: Path, platform: str) -> None:
    with pytest.raises(ConfigurationError, match="platform"):
        load(tmp_path, f"services: [{{name: f, model: m, platform: {platform!r}}}]")


def test_a_variable_adds_to_a_section_that_is_written_short(tmp_path: Path) -> None:
    assert load(tmp_path, "serving: local", LAUREL_SERVING__PORT="1").serving.port == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("12B", 12),
        ("1.5 KB", 1500),
        ("50GB", 50_000_000_000),
        ("1GiB", 1 << 30),
        ("2TiB", 2 << 40),
    ],
)
def test_sizes_are_written_as_people_write_them(tmp_path: Path, text: str, size: int) -> None:
    assert load(tmp_path, f"worker: {{cache_limit: {text}}}").worker.cache_limit == size
    assert load(tmp_path, "", LAUREL_WORKER__CACHE_LIMIT=f"{size}").worker.cache_limit == size
