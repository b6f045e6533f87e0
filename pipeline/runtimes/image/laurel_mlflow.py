"""MLflow's own scoring server: ``POST /invocations`` in MLflow's protocol."""

import mlflow.pyfunc
from fastapi import FastAPI
from laurel_faults import own_faults
from mlflow.pyfunc import scoring_server


def load(model: str) -> FastAPI:
    """Load the model from this folder into MLflow's application."""
    app: FastAPI = scoring_server.init(own_faults(mlflow.pyfunc.load_model(model)))
    return app
