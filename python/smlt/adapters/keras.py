"""Keras 3 on TensorFlow: a model, or a function that makes one. On PyTorch a Keras model is an `nn.Module`, and adapted as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import keras
import numpy as np

from ..determinism import seed_everything
from ..errors import SmltError
from ..program import Array, Batch, Evaluation, Gradient, LaneStep, Parameters, Program, Spec, Statistic, Weights
from . import loss_weight, unknown_loss

Settings = Mapping[str, Any]
Loss = Callable[[Any, Any], Any]


def _values(each: Callable[..., Any], **settings: Any) -> Loss:
    """One of Keras' losses, which take targets first, in the outputs' shape."""
    return lambda outputs, targets: each(keras.ops.reshape(targets, keras.ops.shape(outputs)), outputs, **settings)


def _cross_entropy(settings: Settings) -> Loss:
    smoothing, weights = settings.get("labelSmoothing", 0.0), settings.get("classWeights")
    if not smoothing and weights is None:
        return lambda outputs, targets: keras.losses.sparse_categorical_crossentropy(targets, outputs, from_logits=True)

    def losses(outputs: Any, targets: Any) -> Any:
        classes = outputs.shape[1]
        shares = (1 - smoothing) * keras.ops.one_hot(targets, classes) + smoothing / classes
        # Each share counts with the weight of its class, as in PyTorch.
        weighted = shares if weights is None else shares * np.array(weights, np.float32)
        return -keras.ops.sum(weighted * keras.ops.log_softmax(outputs), axis=1)

    return losses


def _binary_cross_entropy(settings: Settings) -> Loss:
    more = settings.get("positiveWeight", 1.0) - 1.0
    if more == 0:
        return _values(keras.losses.binary_crossentropy, from_logits=True)
    return _values(lambda t, z: keras.ops.mean((1 - t) * z + (1 + more * t) * keras.ops.softplus(-z), axis=-1))


#: One value a sample, with smlt's names, from the loss's settings.
LOSSES: dict[str, Callable[[Settings], Loss]] = {
    "softmax-cross-entropy": _cross_entropy,
    "mse": lambda _: _values(keras.losses.mean_squared_error),
    "mae": lambda _: _values(keras.losses.mean_absolute_error),
    "huber": lambda settings: _values(keras.losses.huber, delta=settings.get("delta", 1.0)),
    "bce-with-logits": _binary_cross_entropy,
}


def keras_program(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    if not isinstance(model, keras.Model):
        return None
    backend = keras.backend.backend()
    if backend == "torch":
        return None
    if backend != "tensorflow":
        raise SmltError(
            "InvalidSpec",
            f'Keras runs on {backend}; expected tensorflow or torch: set os.environ["KERAS_BACKEND"] before importing keras',
        )
    if loss is None and spec.loss not in LOSSES:
        raise unknown_loss(spec, tuple(LOSSES))
    return KerasProgram(model, spec, loss, getattr(module, "transform", None))


class KerasProgram:
    def __init__(self, model: keras.Model, spec: Spec, loss: Callable[..., Any] | None, transform: Callable[..., Any] | None) -> None:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        self._tf = tf
        self._model = model
        self._own_loss = loss is not None
        self._spec = spec
        self._transform = transform
        each = loss if loss is not None else LOSSES[spec.loss](spec.settings)
        if not model.built:
            model.build((None, *spec.feature_shape))
        layers = list(model._flatten_layers(include_self=False))
        self._momenta = {id(layer): float(layer.momentum) for layer in layers if isinstance(layer, keras.layers.BatchNormalization)}
        self._norms = [layer for layer in layers if id(layer) in self._momenta and layer.trainable]
        self._trained = {variable.path: variable for variable in model.trainable_variables}
        self._statistics = {
            variable.path: (variable, 1.0 - self._momenta[id(layer)])
            for layer in self._norms
            for variable in (layer.moving_mean, layer.moving_variance)
        }
        self._seeds = [layer.seed_generator.state for layer in layers if getattr(layer, "seed_generator", None) is not None]

        def total(outputs: Any, targets: Any) -> Any:
            value = each(outputs, targets)
            # A user's loss is the mean over the samples, or one value a sample.
            return tf.reduce_sum(value) if value.shape.rank else value * tf.cast(tf.shape(targets)[0], value.dtype)

        def step(features: Any, targets: Any) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                loss_sum = total(model(features, training=True), targets)
            gradients = tape.gradient(loss_sum, [variable.value for variable in self._trained.values()], unconnected_gradients="zero")
            return loss_sum, [tf.convert_to_tensor(gradient) for gradient in gradients]

        self._total = total
        self._step = tf.function(step, reduce_retracing=True)
        self._outputs = tf.function(lambda features: model(features, training=False), reduce_retracing=True)

    def parameters(self, seed: int) -> Parameters:
        known = {*self._trained, *self._statistics}
        seeds = {id(state) for state in self._seeds}
        return Parameters(
            {name: _array(variable) for name, variable in self._trained.items()},
            {name: Statistic(_array(variable), momentum) for name, (variable, momentum) in self._statistics.items()},
            {variable.path: _array(variable) for variable in self._model.variables if variable.path not in known and id(variable) not in seeds},
            ("batch normalisation sees one lane's samples at a time (ghost batches), not the whole batch",) if self._norms else (),
        )

    def gradient(self, weights: Weights, batch: Batch, at: LaneStep) -> Gradient:
        self._set(weights)
        seed_everything(at.bits)
        for i, state in enumerate(self._seeds):
            state.assign(np.array([at.bits, i], np.uint32).astype(state.dtype))
        # With momentum 0, a moving statistic is the batch's own. Read while the graph is traced, so always the same.
        for layer in self._norms:
            layer.momentum = 0.0
        features, targets = batch.features, batch.targets
        if self._transform is not None:
            features, targets = self._transform(features, targets)
        loss, gradients = self._step(self._tf.convert_to_tensor(features), self._tf.convert_to_tensor(targets))
        observed = {name: _array(variable) for name, (variable, _) in self._statistics.items()}
        slopes = {name: each.numpy() for name, each in zip(self._trained, gradients, strict=True)}
        return Gradient(float(loss), slopes, observed, loss_weight(self._spec, targets))

    def evaluate(self, weights: Weights, batch: Batch) -> Evaluation:
        self._set(weights)
        outputs = self._outputs(self._tf.convert_to_tensor(batch.features))
        loss = float(self._total(outputs, self._tf.convert_to_tensor(batch.targets))) if self._own_loss else None
        return Evaluation(outputs.numpy(), loss)

    def predict(self, weights: Weights, features: Array) -> Any:
        self._set(weights)
        return self._outputs(self._tf.convert_to_tensor(features)).numpy()

    def _set(self, weights: Weights) -> None:
        for name, variable in self._trained.items():
            variable.assign(weights[name])
        for name, (variable, _) in self._statistics.items():
            variable.assign(weights[name])


def _array(variable: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(variable))
