"""What deploys takes an ``AdmittedImage`` with a ``VerifiedImage``; one step alone makes each."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "VerifiedImage"
MAKERS = {NAME: "pipeline/steps/verify.py", "AdmittedImage": "pipeline/steps/admit.py"}


def makes_one(source: str, name: str = NAME) -> bool:
    """Whether it could make one: a call, another name for the class, any use but as a type."""
    tree = ast.parse(source)
    harmless = {id(node) for typed in ast.walk(tree) for node in _types_in(typed)}
    return any(
        (_names_it(node, name) and id(node) not in harmless)
        or (isinstance(node, ast.alias) and node.name == name and node.asname)
        for node in ast.walk(tree)
    )


def _types_in(node: ast.AST) -> list[ast.AST]:
    """List what stands in an annotation, or in ``isinstance``'s second argument, or in a case."""
    places: list[ast.AST | None] = []
    if isinstance(node, ast.AnnAssign | ast.arg):
        places = [node.annotation]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        places = [node.returns]
    elif isinstance(node, ast.MatchClass):
        places = [node.cls]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        places = list(node.args[1:]) if node.func.id == "isinstance" else []
    return [inner for place in places if place for inner in ast.walk(place)]


def _names_it(node: ast.AST, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


@pytest.mark.parametrize("name", MAKERS)
def test_one_step_alone_makes_images_that_are_verified_or_admitted(name: str) -> None:
    made_in = [
        path.relative_to(ROOT).as_posix()
        for package in ("pipeline", "webhook_service")
        for path in sorted((ROOT / package).rglob("*.py"))
        if makes_one(path.read_text(encoding="utf-8"), name)
    ]
    assert made_in == [MAKERS[name]]


@pytest.mark.parametrize(
    "planted",
    [
        "image = VerifiedImage(ref)",
        "image = evidence.VerifiedImage(ref)",
        "from pipeline.domain.evidence import VerifiedImage as Image",
        "make = VerifiedImage",
        "image = VerifiedImage.__new__(VerifiedImage)",
        "image = build(VerifiedImage, fields)",
    ],
)
def test_another_maker_would_be_found(planted: str) -> None:
    assert makes_one(planted)


def test_naming_the_type_is_not_making_one() -> None:
    assert not makes_one(
        "def f(image: VerifiedImage) -> VerifiedImage | Refused:\n"
        "    match image:\n"
        "        case VerifiedImage(): ...\n"
        "    return isinstance(image, VerifiedImage)\n"
    )
