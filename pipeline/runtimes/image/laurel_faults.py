"""Whose fault a failed prediction is: the model's, unless MLflow says that the request was wrong.

MLflow's scoring server answers 400 to whatever a model raises, as if the caller had asked badly.
Whoever judges a canary counts 5xx, and a model that fails must be seen failing.
"""

import functools
from typing import Any

from mlflow.exceptions import MlflowException


def own_faults(model: Any) -> Any:  # noqa: ANN401 - an MLflow pyfunc model, of any MLflow
    """Let a model answer 500 where it raises; a request that fits no signature stays a 400."""
    predict = model.predict

    @functools.wraps(predict)  # MLflow reads its parameters
    def answered(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the model's own
        try:
            return predict(*args, **kwargs)
        except MlflowException:
            raise
        except Exception as error:
            why = f"the model raised {type(error).__name__}: {error}"
            raise MlflowException(why) from error  # an internal error, which is MLflow's default

    model.predict = answered
    return model
