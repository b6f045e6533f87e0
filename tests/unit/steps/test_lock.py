import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain.evidence import DescribedModel, Lock, LockedModel, Refused
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest
from pipeline.steps.lock import lock
from tests.unit.steps.model_scene import PLAN, Scene

HOST = f"{sys.version_info.major}.{sys.version_info.minor}"


class Resolver:
    """Resolves everything but what it was told to refuse, and remembers what it was asked."""

    def __init__(self, **refused: str) -> None:
        self.refused = refused
        self.asked: list[tuple[str, tuple[str, ...], str]] = []
        self.fresh = False

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = False,
    ) -> Lock | Refused:
        lines = tuple(requirements)
        self.asked.append((runtime, lines, python_version))
        self.fresh = fresh
        if runtime in self.refused:
            return Refused(self.refused[runtime], {"resolver": "…"})
        text = "\n".join(lines)
        return Lock(text, Digest.of(text.encode()), runtime, python_version)

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        raise AssertionError((lock, target, python))


@pytest.fixture
def model(tmp_path: Path) -> DescribedModel:
    model = Scene.of("sk-pickle", tmp_path).described()
    return saying(model, python_version=f"{HOST}.1")


def saying(model: DescribedModel, **changes: object) -> DescribedModel:
    description = replace(model.description, **changes)  # type: ignore[arg-type]  # by each test
    return replace(model, description=description)


def locked(model: DescribedModel, resolver: Resolver, plan: Plan = PLAN) -> Lock:
    answer = lock(model, plan=plan, resolver=resolver, rebuild=False)
    assert isinstance(answer, LockedModel), answer
    return answer.lock


def refusal(model: DescribedModel, resolver: Resolver, plan: Plan = PLAN) -> str:
    answer = lock(model, plan=plan, resolver=resolver, rebuild=False)
    assert isinstance(answer, Refused)
    return answer.reason


def test_mlserver_is_taken_where_it_resolves(model: DescribedModel) -> None:
    resolver = Resolver()
    assert locked(model, resolver).runtime == "mlserver"
    [(_, lines, python)] = resolver.asked
    assert lines == (
        *model.description.requirements,
        "mlserver==1.7.1",
        "mlserver-mlflow==1.7.1",
        "uvloop<0.22",
    )
    assert python == HOST


def test_mlflows_own_server_is_taken_where_mlserver_clashes(model: DescribedModel) -> None:
    resolver = Resolver(mlserver="a clash")
    assert locked(model, resolver).runtime == "mlflow"
    assert resolver.asked[-1][1] == model.description.requirements


def test_where_nothing_resolves_the_model_itself_is_what_the_person_hears_of(
    model: DescribedModel,
) -> None:
    resolver = Resolver(mlserver="mlserver clashes", mlflow="docopt has no wheel")
    answer = lock(model, plan=PLAN, resolver=resolver, rebuild=False)
    assert answer == Refused(
        "fraud/3 with runtime mlflow: docopt has no wheel",
        {"runtime": "mlflow", "resolver": "…"},
    )


def test_a_runtime_that_was_asked_for_is_not_replaced(model: DescribedModel) -> None:
    plan = replace(PLAN, runtime="mlserver")
    assert "a clash" in refusal(model, Resolver(mlserver="a clash"), plan)
    assert locked(model, Resolver(), replace(PLAN, runtime="mlflow")).runtime == "mlflow"


def test_an_unknown_runtime_is_refused_with_the_known_ones(model: DescribedModel) -> None:
    plan = replace(PLAN, runtime="kserve")
    assert "mlserver, mlflow" in refusal(model, Resolver(), plan)


@pytest.mark.parametrize("version", ["2.18.0", "2.2.2", "1.30.1", "nonsense"])
def test_a_model_of_an_older_mlflow_is_refused(model: DescribedModel, version: str) -> None:
    resolver = Resolver()
    reason = refusal(saying(model, mlflow_version=version), resolver)
    assert f"logged by MLflow {version}" in reason
    assert "2.19 or later" in reason
    assert not resolver.asked


def test_mlflows_server_is_no_choice_for_models_before_it_had_fastapi(
    model: DescribedModel,
) -> None:
    model = saying(model, mlflow_version="2.19.0")
    assert locked(model, Resolver()).runtime == "mlserver"
    assert "serves models from 2.21 on" in refusal(model, Resolver(mlserver="a clash"))


@pytest.mark.parametrize("base", ["host", "python@sha256:" + "0" * 64])
def test_another_python_than_the_one_that_installs_is_refused_on_every_base(
    model: DescribedModel, base: str
) -> None:
    model = saying(model, python_version="3.9.18")
    reason = refusal(model, Resolver(), replace(PLAN, base=base))
    assert f"made with Python 3.9, and environments are installed by the Python {HOST}" in reason
    assert reason.endswith(f"log it from Python {HOST}, or run Laurel on Python 3.9")


def test_python_3_13_gets_mlflows_server(
    model: DescribedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.steps.lock._HOST_PYTHON", "3.13")
    model = saying(model, python_version="3.13.1")
    resolver = Resolver()
    assert locked(model, resolver).runtime == "mlflow"
    assert resolver.asked[0][2] == "3.13"
    asked_for = replace(PLAN, runtime="mlserver")
    assert "runtime mlserver has no release" in refusal(model, Resolver(), asked_for)


@pytest.mark.parametrize(
    "line",
    [
        "-r /etc/passwd",
        "--extra-index-url https://evil.example/simple",
        "-e .",
        "./local.whl",
        "/opt/local.whl",
        "git+https://example.com/x.git",
        "x @ https://example.com/x-1-py3-none-any.whl",
        "https://example.com/x-1-py3-none-any.whl",
        "numpy==1 --hash=sha256:00",
        "numpy --index-url=https://evil.example/simple",
        "code/x.whl",
    ],
)
def test_a_line_that_is_no_package_of_the_index_is_refused(
    model: DescribedModel, line: str
) -> None:
    resolver = Resolver()
    reason = refusal(saying(model, requirements=("mlflow==3.17.2", line)), resolver)
    assert repr(line) in reason
    assert not resolver.asked


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy==2.4.6",
        "scikit_learn >=1.5,<2",
        "uvicorn[standard] ~= 0.30",
        "zope.interface!=5; python_version < '3.12'",
        "pandas (>=2)",
        "tomli;python_version<'3.11'",
    ],
)
def test_a_plain_requirement_is_passed_on_as_it_is(model: DescribedModel, line: str) -> None:
    resolver = Resolver()
    locked(saying(model, requirements=("mlflow==3.17.2", line)), resolver)
    assert line in resolver.asked[0][1]


@pytest.mark.parametrize("lines", [("numpy==2.4.6",), ("mlflow-skinny==3.17.2",)])
def test_mlflow_is_added_where_the_model_does_not_ask_for_all_of_it(
    model: DescribedModel, lines: tuple[str, ...]
) -> None:
    resolver = Resolver()
    locked(saying(model, requirements=lines), resolver)
    assert resolver.asked[0][1][:2] == (*lines, "mlflow==3.17.2")


@pytest.mark.parametrize("line", ["mlflow==3.17.2", "MLflow>=3", "mlflow[extras]==3.17.2"])
def test_mlflow_is_not_added_twice(model: DescribedModel, line: str) -> None:
    resolver = Resolver()
    locked(saying(model, requirements=(line,)), resolver)
    assert sum("mlflow" in asked.lower() for asked in resolver.asked[0][1]) == 2


@pytest.mark.parametrize("rebuild", [True, False])
def test_a_rebuild_asks_the_package_index_anew(model: DescribedModel, *, rebuild: bool) -> None:
    resolver = Resolver()
    lock(model, plan=PLAN, rebuild=rebuild, resolver=resolver)
    assert resolver.fresh is rebuild
