"""From what a program.py defines to the four methods. A framework is loaded only where the program has loaded it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import SmltError
from ..program import Program, Spec

#: The loss of a job that leaves it to the program.
OWN_LOSS = "program"


def adapt(module: ModuleType, entry: str, spec: Spec) -> Program:
    """@raises SmltError `InvalidSpec` when the program defines nothing that trains"""
    own = getattr(module, "program", None)
    if own is not None:
        candidate = own() if callable(own) and not isinstance(own, Program) else own
        if not isinstance(candidate, Program):
            raise SmltError(
                "InvalidSpec",
                f"{entry}: `program` needs the methods parameters, gradient, evaluate and predict; found {type(candidate).__name__}",
            )
        if spec.settings:
            raise SmltError(
                "InvalidSpec",
                f"{entry}: `program` computes its own gradients, so the job's {', '.join(spec.settings)} would change nothing: "
                "put them into the program, and name the loss alone",
            )
        return candidate
    if hasattr(module, "init") and hasattr(module, "apply"):
        from .jax import pure_program

        return pure_program(module, spec, _own_loss(module, entry, spec))
    model = getattr(module, "model", None)
    if model is None:
        raise SmltError(
            "InvalidSpec",
            f"{entry}: expected `model` (a PyTorch, Keras, Flax, Equinox or scikit-learn model, or a function that makes one), "
            "`init` and `apply` (JAX), or `program` (the four methods)",
        )
    if inspect.isclass(model) or inspect.isfunction(model):
        model = _made(model, spec)
    if "sklearn" in sys.modules:
        from .sklearn import sklearn_program

        # An estimator brings its loss.
        if (adapted := sklearn_program(model, spec, hasattr(module, "loss"))) is not None:
            return adapted
    loss = _own_loss(module, entry, spec)
    for framework, wrap in _FRAMEWORKS.items():
        if framework in sys.modules:
            adapted = wrap(model, module, spec, loss)
            if adapted is not None:
                return adapted
    raise SmltError(
        "InvalidSpec",
        f"{entry}: `model` is a {type(model).__name__}, which no adapter knows; define `program` with the four methods",
    )


def _made(make: Callable[..., Any], spec: Spec) -> Any:
    """A function that makes a model may take a JAX key."""
    if "key" in inspect.signature(make).parameters:
        import jax

        return make(key=jax.random.key(spec.seed))
    return make()


def _own_loss(module: ModuleType, entry: str, spec: Spec) -> Callable[..., Any] | None:
    own = getattr(module, "loss", None)
    if spec.loss == OWN_LOSS and own is None:
        raise SmltError(
            "InvalidSpec",
            f'{entry}: the job says "loss": "{OWN_LOSS}", and the program defines no `loss(outputs, targets)`',
        )
    if spec.loss != OWN_LOSS and own is not None:
        raise SmltError(
            "InvalidSpec",
            f'{entry} defines `loss`, and the job says "loss": "{spec.loss}": say "loss": "{OWN_LOSS}" in the job, or remove it from the program',
        )
    return own


def loss_weight(spec: Spec, targets: Any) -> float | None:
    """Sum of the samples' weights, where the loss has class weights. `targets`: int labels `[n]`, after any transform."""
    if not spec.weighted:
        return None
    return float(np.asarray(spec.settings["classWeights"], np.float32)[np.asarray(targets)].sum(dtype=np.float64))


def unknown_loss(spec: Spec, known: tuple[str, ...]) -> SmltError:
    return SmltError(
        "InvalidSpec",
        f'loss {spec.loss}: expected one of {", ".join(known)}, or "{OWN_LOSS}" and `loss(outputs, targets)` in the program',
    )


def _pytorch(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    from .pytorch import torch_program

    return torch_program(model, module, spec, loss)


def _keras(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    from .keras import keras_program

    return keras_program(model, module, spec, loss)


def _jax(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    from .jax import jax_program

    return jax_program(model, module, spec, loss)


#: Asked in this order: Keras may run on top of PyTorch or JAX.
_FRAMEWORKS: dict[str, Callable[[Any, ModuleType, Spec, Callable[..., Any] | None], Program | None]] = {
    "keras": _keras,
    "torch": _pytorch,
    "jax": _jax,
}
