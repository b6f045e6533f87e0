"""What Laurel's MLflow account must be allowed, right by right, on MLflow's own basic-auth app.

With exactly what docs/mlflow.md asks for everything works; each right that is missing is named by
``laurel doctor`` and by what becomes of a promotion.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.doctor import artifacts, rights
from pipeline.doctor.finding import Finding
from pipeline.doctor.looks import looked
from pipeline.domain.acceptance import Wanted, promotion_draft
from pipeline.domain.promotion import Phase, Promotion, Trigger, TriggerKind
from pipeline.ledger import new_id
from pipeline.settings.load import load_settings
from tests.acceptance.conftest import LIGHT, Registered, registered
from tests.servers.laurel import SERVICE, Laurel, install
from tests.servers.mlflow_auth import PASSWORD, GuardedMlflow, running_guarded_mlflow
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("guarded mlflow")
MODEL, EXPERIMENT = "registered_model", "experiment"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMlflow]:
    with running_guarded_mlflow(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@dataclass
class Account:
    """Laurel with an account of its own, and a model whose first version is @champion."""

    name: str
    mlflow: GuardedMlflow
    model: Registered
    laurel: Laurel

    def may(self, kind: str, level: str) -> None:
        resource = self.model.name if kind == MODEL else "0"
        self.mlflow.grant(self.name, kind, resource, level)

    def findings(self) -> list[Finding]:
        """Have the doctor look at rights and files."""
        settings = load_settings(self.laurel.folder / "laurel.yaml", os.environ)
        checks = {rights.CHECK, artifacts.CHECK}
        return list(looked(look for look in wiring.build_looks(settings) if look.check in checks))

    def amiss(self) -> list[tuple[str, str]]:
        return [(each.what, each.fix) for each in self.findings() if each.level != "ok"]

    def promoted(self) -> Promotion:
        """Have the version promoted by hand, and wait for the end."""
        plan = self.laurel.settings.plans()[SERVICE]
        by_ada = Trigger(TriggerKind.CLI, "ada", datetime.now(UTC))
        wanted = Wanted(self.model.name, version=1)
        draft = promotion_draft(plan, wanted, promotion=new_id(), trigger=by_ada)
        self.laurel.ledger.promotions.accept(draft)
        self.laurel.start("worker")
        return self.laurel.ended(1)


@pytest.fixture
def account(
    mlflow: GuardedMlflow, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    name = f"laurel-{next(_numbers)}"
    mlflow.account(name)
    model = registered(mlflow.server, tmp_path)
    model.add()
    model.point(1)
    monkeypatch.setenv("LAUREL_MLFLOW__USERNAME", name)
    monkeypatch.setenv("LAUREL_MLFLOW__PASSWORD", PASSWORD)
    folder = install(tmp_path / "laurel", mlflow.server.url, cache, model=model.name)
    laurel = Laurel(folder, LIGHT)
    yield Account(name, mlflow, model, laurel)
    laurel.down()


def test_with_exactly_what_the_docs_ask_for_everything_works(account: Account) -> None:
    account.may(MODEL, "EDIT")
    account.may(EXPERIMENT, "READ")
    assert [each.level for each in account.findings()] == ["ok", "ok"]
    ended = account.promoted()
    assert ended.phase is Phase.SUCCEEDED, account.laurel.story()
    until(lambda: not account.laurel.ledger.promotions.untold(), "the tags")
    assert account.model.tags(1)[f"laurel.{SERVICE}.phase"] == "succeeded"
    assert account.laurel.ledger.events.of(ended.id, kind="warning") == []


def test_without_any_right_on_the_model_both_say_which_is_missing(account: Account) -> None:
    account.may(EXPERIMENT, "READ")
    name = account.model.name
    assert account.amiss() == [
        (
            f"Laurel's MLflow account may not read {name}",
            f"grant it READ on the registered model {name} and on its experiment",
        )
    ]
    ended = account.promoted()
    assert ended.phase is Phase.ERRORED
    assert "give Laurel's user READ on the model and its experiment" in ended.reason


def test_without_a_right_on_the_experiment_both_say_which_is_missing(account: Account) -> None:
    account.may(MODEL, "EDIT")
    ((what, fix),) = account.amiss()
    assert "its files (mlflow-artifacts:) may not be read" in what
    assert "grant Laurel's MLflow account READ on the experiment" in fix
    ended = account.promoted()
    assert ended.phase is Phase.ERRORED
    assert "give Laurel's user READ on the model and its experiment" in ended.reason


def test_without_the_right_to_edit_it_is_promoted_and_said_that_no_tag_tells(
    account: Account,
) -> None:
    account.may(MODEL, "READ")
    account.may(EXPERIMENT, "READ")
    ((what, fix),) = account.amiss()
    assert "and not tag it" in what
    assert fix == f"grant it EDIT on the registered model {account.model.name}"
    ended = account.promoted()
    assert ended.phase is Phase.SUCCEEDED, account.laurel.story()
    until(lambda: not account.laurel.ledger.promotions.untold(), "that it was tried")
    (warned,) = account.laurel.ledger.events.of(ended.id, kind="warning")
    assert "EDIT on the model to write tags" in warned.data["warning"]
