"""MLServer for the Open Inference Protocol v2, MLflow's scoring server for ``POST /invocations``.

MLServer's own start opens two more ports and lets anybody unload the model over HTTP; its parts
are put together here without either. Its ``/invocations`` answers 500 to a client's bad JSON and
fails on models with type hints, so MLflow's own stands there.
"""

import asyncio
import os

from fastapi import FastAPI, Request, Response
from fastapi.middleware.wsgi import WSGIMiddleware
from fastapi.responses import JSONResponse
from laurel_faults import own_faults
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from mlserver.handlers import DataPlane, ModelRepositoryHandlers
from mlserver.registry import MultiModelRegistry
from mlserver.repository import SchemalessModelRepository
from mlserver.rest.app import create_app
from mlserver.settings import ModelParameters, ModelSettings, Settings
from mlserver_mlflow import MLflowRuntime


def load(model: str) -> FastAPI:
    """Load the model from this folder once, and serve it by both applications."""
    settings = Settings(parallel_workers=0, metrics_endpoint=None, debug=False)
    registry = MultiModelRegistry()
    app: FastAPI = create_app(
        settings,
        DataPlane(settings, registry),
        ModelRepositoryHandlers(SchemalessModelRepository(model), registry),
    )
    app.router.routes[:] = [
        route
        for route in app.router.routes
        if not getattr(route, "path", "").startswith("/v2/repository")
    ]

    @app.exception_handler(MlflowException)
    async def refuse(_request: Request, error: MlflowException) -> Response:
        """Answer with MLflow's status: a request that fits no signature is the client's fault."""
        status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]  # MLflow's is untyped
        return JSONResponse({"error": error.message}, status)

    loaded = asyncio.run(
        registry.load(
            ModelSettings(
                name=os.environ["LAUREL_MODEL_NAME"],
                implementation=MLflowRuntime,
                parameters=ModelParameters(uri=model),
            )
        )
    )
    scoring = scoring_server.init(own_faults(loaded._model))  # noqa: SLF001 - loaded once, served twice
    # Before MLflow 2.21 the scoring server was a Flask application.
    app.mount("/", scoring if isinstance(scoring, FastAPI) else WSGIMiddleware(scoring))
    return app
