"""Lambda handlers, one a role: `smlt.functions.train` and so on. They run under any Python runtime of Lambda."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from . import determinism

determinism.apply_environment()

from .engine import Engine, EngineLostError  # noqa: E402 -- frameworks read the environment when they are loaded

# While Lambda initialises the instance, so that the first call finds it running.
_engine = Engine()


def _handler(role: str) -> Callable[[Any, Any], Any]:
    def handle(event: Any, context: Any) -> Any:
        try:
            return _engine.call(role, event, context.get_remaining_time_in_millis())
        except EngineLostError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)

    handle.__name__ = role
    return handle


prepare = _handler("prepare")
train = _handler("train")
evaluate = _handler("evaluate")
export = _handler("export")
predict = _handler("predict")
