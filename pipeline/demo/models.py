"""The data scientist: ``python -m pipeline.demo.models``, the one process that imports MLflow.

Trains three real models at once, then does what it is told, a JSON line at a time on standard
input, and answers each with a JSON line: ``register`` logs the models and creates the webhook;
``champion`` moves the alias through MLflow's client, so that MLflow's own server fires.

Version 3 is the mistake that everybody made once: its encoder met one country in training and
raises on all others. It answers its own input example, and looks as good as the others in MLflow.
"""

import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from random import Random
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline.demo.transactions import COLUMNS, HOME, draw, is_fraud

_ALIAS_EVENTS: list[Any] = [
    WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, action)
    for action in (WebhookAction.CREATED, WebhookAction.DELETED)
]
_REQUIREMENTS = [
    f"{package}=={version(package)}"
    for package in ("mlflow", "scikit-learn", "pandas", "cloudpickle")
]
_ROWS, _TEST, _SMALL = 9000, 1500, 25


@dataclass(frozen=True)
class Trained:
    """One model with what is logged beside it; ``auc`` is on rows like those it was trained on."""

    name: str
    pipeline: Pipeline
    example: pd.DataFrame
    auc: float


def train() -> list[Trained]:
    """Train the good one, the better one and the one that fails abroad."""
    random = Random(7)  # noqa: S311 - a demonstration's data, the same at every run
    world = [draw(random) for _ in range(_ROWS)]
    rows = pd.DataFrame(world).assign(fraud=[is_fraud(row, random) for row in world])
    home = rows[rows["country"] == HOME]
    return [
        _trained("small sample", rows[:_SMALL], rows[-_TEST:]),
        _trained("large sample", rows[:-_TEST], rows[-_TEST:]),
        _trained("home only", home[:-_TEST], home[-_TEST:], unknown="error"),
    ]


def _trained(
    name: str, rows: pd.DataFrame, test: pd.DataFrame, *, unknown: str = "ignore"
) -> Trained:
    encode = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list(COLUMNS[:-1])),
            ("country", OneHotEncoder(handle_unknown=unknown), [COLUMNS[-1]]),
        ]
    )
    pipeline = Pipeline([("encode", encode), ("classify", LogisticRegression())])
    pipeline.fit(rows[list(COLUMNS)], rows["fraud"])
    scores = pipeline.predict_proba(test[list(COLUMNS)])[:, 1]
    example = rows.loc[rows["country"] == HOME, list(COLUMNS)][:2]
    return Trained(name, pipeline, example, float(roc_auc_score(test["fraud"], scores)))


def register(models: list[Trained], model: str, url: str, secret: str) -> list[dict[str, Any]]:
    """Log each model as a version of ``model``, and have alias moves delivered to ``url``."""
    mlflow.set_experiment(model)
    logged = [_log(trained, model) for trained in models]
    client = mlflow.MlflowClient()
    client.create_webhook(name="laurel", url=url, events=_ALIAS_EVENTS, secret=secret)
    return logged


def _log(trained: Trained, model: str) -> dict[str, Any]:
    with mlflow.start_run(run_name=trained.name):
        mlflow.log_metric("auc", trained.auc)
        info = mlflow.sklearn.log_model(
            trained.pipeline,
            name="model",
            registered_model_name=model,
            pip_requirements=_REQUIREMENTS,
            pyfunc_predict_fn="predict_proba",
            signature=infer_signature(
                trained.example, trained.pipeline.predict_proba(trained.example)
            ),
            input_example=trained.example,
            serialization_format="cloudpickle",  # MLflow's default, skops, takes a second more
        )
    return {
        "version": int(info.registered_model_version),
        "name": trained.name,
        "auc": round(trained.auc, 3),
    }


def move_alias(model: str, number: int) -> list[dict[str, Any]]:
    """Do what *Save aliases* does in MLflow's page."""
    mlflow.MlflowClient().set_registered_model_alias(model, "champion", str(number))
    return []


def main() -> None:
    """Train, say so, and obey."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # MLflow's client prints where its runs can be seen
    models = train()
    answers.write("{}\n")
    for line in sys.stdin:
        asked = json.loads(line)
        if "register" in asked:
            done = register(models, asked["register"], asked["webhook"], asked["secret"])
        else:
            done = move_alias(asked["of"], asked["champion"])
        answers.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
