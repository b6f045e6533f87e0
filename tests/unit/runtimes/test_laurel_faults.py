import inspect
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from pipeline.runtimes.image.laurel_faults import own_faults


class _Model:
    def predict(self, data: str, params: dict[str, Any] | None = None) -> str:
        if data == "abroad":
            raise ValueError("unknown country")
        if data == "misspelt":
            raise MlflowException("no such column", error_code=INVALID_PARAMETER_VALUE)
        return f"{data}{params}"


def _served() -> _Model:
    served: _Model = own_faults(_Model())
    return served


def _status(error: MlflowException) -> int:
    status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]  # MLflow's
    return status


def test_what_a_model_raises_is_answered_with_500_and_its_name() -> None:
    with pytest.raises(MlflowException, match="ValueError: unknown country") as raised:
        _served().predict("abroad")
    assert _status(raised.value) == 500


def test_a_request_that_fits_no_signature_stays_the_callers_fault() -> None:
    with pytest.raises(MlflowException, match="no such column") as raised:
        _served().predict("misspelt")
    assert _status(raised.value) == 400


def test_a_prediction_passes_through_with_its_parameters() -> None:
    assert _served().predict("home", params={"k": 1}) == "home{'k': 1}"


def test_mlflow_still_sees_which_parameters_the_model_takes() -> None:
    assert "params" in inspect.signature(_served().predict).parameters
