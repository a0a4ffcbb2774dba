"""JAX: pure functions `init(key)` and `apply(params, x)`, a Flax linen module, or an Equinox module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..determinism import seed_everything
from ..errors import SmltError
from ..program import Array, Batch, Evaluation, Gradient, LaneStep, Parameters, Program, Spec, Weights
from . import loss_weight, unknown_loss

Apply = Callable[[Any, Any, Any, bool], Any]
Settings = Mapping[str, Any]
LossOf = Callable[[Any, Any], Any]


def _values(each: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A sample's loss is the mean over its values."""

    def losses(outputs: Any, targets: Any) -> Any:
        flat = outputs.reshape(outputs.shape[0], -1)
        return each(flat, targets.reshape(flat.shape)).mean(axis=1)

    return losses


def _cross_entropy(settings: Settings) -> LossOf:
    smoothing, weights = settings.get("labelSmoothing", 0.0), settings.get("classWeights")
    if not smoothing and weights is None:
        return lambda z, y: -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1)[:, 0]

    def losses(z: Any, y: Any) -> Any:
        shares = (1 - smoothing) * jax.nn.one_hot(y, z.shape[1]) + smoothing / z.shape[1]
        # Each share counts with the weight of its class, as in PyTorch.
        return -((shares if weights is None else shares * jnp.array(weights, jnp.float32)) * jax.nn.log_softmax(z)).sum(axis=1)

    return losses


def _binary_cross_entropy(settings: Settings) -> LossOf:
    more = settings.get("positiveWeight", 1.0) - 1.0
    if more == 0:
        return lambda z, t: jnp.maximum(z, 0) - z * t + jnp.log1p(jnp.exp(-jnp.abs(z)))
    return lambda z, t: (1 - t) * z + (1 + more * t) * (jnp.maximum(-z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z))))


def _huber(settings: Settings) -> LossOf:
    delta = settings.get("delta", 1.0)

    def each(z: Any, t: Any) -> Any:
        clipped = jnp.clip(z - t, -delta, delta)
        return clipped * (z - t - clipped / 2)

    return each


#: One value a sample, with smlt's names, from the loss's settings.
LOSSES: dict[str, Callable[[Settings], LossOf]] = {
    "softmax-cross-entropy": _cross_entropy,
    "mse": lambda _: _values(lambda z, t: (z - t) ** 2),
    "mae": lambda _: _values(lambda z, t: jnp.abs(z - t)),
    "huber": lambda settings: _values(_huber(settings)),
    "bce-with-logits": lambda settings: _values(_binary_cross_entropy(settings)),
}


def pure_program(module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program:
    """`init(key) -> params`, and `apply(params, x)`, which may also take `key` and `train` by name."""
    taken = inspect.signature(module.apply).parameters

    def apply(params: Any, features: Any, key: Any, train: bool) -> Any:
        return module.apply(params, features, **{name: value for name, value in (("key", key), ("train", train)) if name in taken})

    return JaxProgram(module.init(jax.random.key(spec.seed)), apply, module, spec, loss)


def jax_program(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    """Adapts a Flax linen module or an Equinox module; None for anything else."""
    flax = _flax_program(model, module, spec, loss)
    return flax if flax is not None else _equinox_program(model, module, spec, loss)


def _flax_program(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    try:
        from flax import linen
    except ImportError:
        return None
    if not isinstance(model, linen.Module):
        return None
    takes_train = "train" in inspect.signature(model.__call__).parameters
    sample = jnp.zeros((1, *spec.feature_shape), jnp.float32)
    variables = model.init(jax.random.key(spec.seed), sample, **({"train": False} if takes_train else {}))
    others = [name for name in variables if name != "params"]
    if others:
        raise SmltError(
            "InvalidSpec",
            f"the Flax module has the collections {', '.join(others)}; only `params` can be trained: use LayerNorm or GroupNorm for BatchNorm",
        )

    def apply(params: Any, features: Any, key: Any, train: bool) -> Any:
        return model.apply({"params": params}, features, rngs={"dropout": key}, **({"train": train} if takes_train else {}))

    return JaxProgram(variables["params"], apply, module, spec, loss)


def _equinox_program(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    try:
        import equinox as eqx
    except ImportError:
        return None
    if not isinstance(model, eqx.Module):
        return None
    takes_key = "key" in inspect.signature(model.__call__).parameters
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    resting = eqx.nn.inference_mode(rest)

    def apply(given: Any, features: Any, key: Any, train: bool) -> Any:
        one = eqx.combine(given, rest if train else resting)
        if not takes_key:
            return jax.vmap(one)(features)
        return jax.vmap(lambda x, k: one(x, key=k))(features, jax.random.split(key, features.shape[0]))

    return JaxProgram(params, apply, module, spec, loss)


class JaxProgram:
    """Any pytree of float arrays; a leaf is named by its path."""

    def __init__(self, params: Any, apply: Apply, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> None:
        if loss is None and spec.loss not in LOSSES:
            raise unknown_loss(spec, tuple(LOSSES))
        leaves, self._tree = jax.tree_util.tree_flatten_with_path(params)
        self._initial = {_name(path): np.asarray(leaf, np.float32) for path, leaf in leaves}
        self._own_loss = loss is not None
        self._spec = spec
        self._transform = getattr(module, "transform", None)
        each = loss if loss is not None else LOSSES[spec.loss](spec.settings)

        def total(outputs: Any, targets: Any) -> Any:
            value = each(outputs, targets)
            # A user's loss is the mean over the samples, or one value a sample.
            return value.sum() if value.ndim else value * targets.shape[0]

        def loss_of(leaves: list[Any], features: Any, targets: Any, key: Any) -> Any:
            return total(apply(self._unflatten(leaves), features, key, True), targets)

        self._gradient = jax.jit(jax.value_and_grad(loss_of))
        self._outputs = jax.jit(lambda leaves, features: apply(self._unflatten(leaves), features, jax.random.key(0), False))
        self._total = jax.jit(total)

    def parameters(self, seed: int) -> Parameters:
        return Parameters(self._initial)

    def gradient(self, weights: Weights, batch: Batch, at: LaneStep) -> Gradient:
        seed_everything(at.bits)
        features, targets = batch.features, batch.targets
        if self._transform is not None:
            features, targets = self._transform(features, targets)
        loss, gradients = self._gradient(self._leaves(weights), features, self._numbers(targets), jax.random.key(at.bits))
        slopes = {name: np.asarray(each) for name, each in zip(self._initial, gradients, strict=True)}
        return Gradient(float(loss), slopes, weight=loss_weight(self._spec, targets))

    def evaluate(self, weights: Weights, batch: Batch) -> Evaluation:
        outputs = self._outputs(self._leaves(weights), batch.features)
        loss = float(self._total(outputs, self._numbers(batch.targets))) if self._own_loss else None
        return Evaluation(np.asarray(outputs), loss)

    def predict(self, weights: Weights, features: Array) -> Any:
        return np.asarray(self._outputs(self._leaves(weights), features))

    def _leaves(self, weights: Weights) -> list[Any]:
        # A copy: JAX may keep an aligned NumPy array as it is, and the engine writes the next parameters into this one.
        return [jnp.array(weights[name], copy=True) for name in self._initial]

    def _unflatten(self, leaves: list[Any]) -> Any:
        return jax.tree_util.tree_unflatten(self._tree, leaves)

    @staticmethod
    def _numbers(targets: Array) -> Array:
        return targets.astype(np.int32) if targets.dtype == np.int64 else targets


def _name(path: tuple[Any, ...]) -> str:
    parts = (getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))) for key in path)
    return "/".join(str(part) for part in parts) or "params"
