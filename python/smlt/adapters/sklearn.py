"""scikit-learn: the estimators with `partial_fit` that follow a gradient.

SGDClassifier and SGDRegressor (their losses, over a linear model), MLPClassifier and MLPRegressor (their own
back-propagation). smlt's optimiser takes the place of their learning rates, and its weight decay that of `alpha`. Others
with `partial_fit` (naive Bayes, PassiveAggressive, MiniBatchKMeans, IncrementalPCA) have no gradient, and are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..determinism import seed_everything
from ..errors import SmltError
from ..program import Array, Batch, Evaluation, Gradient, LaneStep, Parameters, Program, Spec, Weights

SUPPORTED = (SGDClassifier, SGDRegressor, MLPClassifier, MLPRegressor)
_NOTE = "scikit-learn's learning rate, momentum, early stopping and alpha are not used: the job's optimiser and weightDecay are"


def sklearn_program(model: Any, spec: Spec, defines_loss: bool) -> Program | None:
    if not isinstance(model, BaseEstimator):
        return None
    if defines_loss or spec.loss != "program":
        raise SmltError("InvalidSpec", 'a scikit-learn estimator brings its loss: say "loss": "program" in the job, and define none')
    if not isinstance(model, SUPPORTED):
        raise SmltError(
            "InvalidSpec",
            f"{type(model).__name__} follows no gradient; expected one of {', '.join(each.__name__ for each in SUPPORTED)}",
        )
    if isinstance(model, MLPRegressor) and getattr(model, "loss", "squared_error") != "squared_error":
        raise SmltError("InvalidSpec", f"MLPRegressor(loss={model.loss!r}): expected squared_error")
    classifies = isinstance(model, (SGDClassifier, MLPClassifier))
    if classifies != (spec.target.kind == "class"):
        raise SmltError(
            "InvalidSpec",
            f"{type(model).__name__} needs {'labels' if classifies else 'values'}, and the data set has {spec.target.kind} targets",
        )
    return LinearProgram(model, spec) if isinstance(model, (SGDClassifier, SGDRegressor)) else NetworkProgram(model, spec)


#: Loss and its derivative in the score p, for a target t: -1 or 1 for classifiers. Source: scikit-learn, "SGD: mathematical formulation".
Slope = Callable[[Any, Any, float], tuple[Any, Any]]


def _log_loss(p: Any, t: Any, _: float) -> tuple[Any, Any]:
    return np.logaddexp(0.0, -t * p), -t / (1.0 + np.exp(t * p))


def _hinge(p: Any, t: Any, threshold: float = 1.0) -> tuple[Any, Any]:
    z = threshold - t * p
    return np.maximum(0.0, z), np.where(z >= 0, -t, 0.0)


def _squared_hinge(p: Any, t: Any, _: float) -> tuple[Any, Any]:
    z = np.maximum(0.0, 1.0 - t * p)
    return z * z, -2.0 * t * z


def _modified_huber(p: Any, t: Any, _: float) -> tuple[Any, Any]:
    z = t * p
    return np.where(z >= 1, 0.0, np.where(z >= -1, (1 - z) ** 2, -4 * z)), np.where(z >= 1, 0.0, np.where(z >= -1, 2 * (1 - z) * -t, -4 * t))


def _squared_error(p: Any, t: Any, _: float) -> tuple[Any, Any]:
    return 0.5 * (p - t) ** 2, p - t


def _huber(p: Any, t: Any, epsilon: float) -> tuple[Any, Any]:
    r = p - t
    return np.where(np.abs(r) <= epsilon, 0.5 * r * r, epsilon * np.abs(r) - 0.5 * epsilon**2), np.clip(r, -epsilon, epsilon)


def _epsilon_insensitive(p: Any, t: Any, epsilon: float) -> tuple[Any, Any]:
    r = p - t
    return np.maximum(0.0, np.abs(r) - epsilon), np.where(np.abs(r) > epsilon, np.sign(r), 0.0)


def _squared_epsilon_insensitive(p: Any, t: Any, epsilon: float) -> tuple[Any, Any]:
    r = p - t
    beyond = np.maximum(0.0, np.abs(r) - epsilon)
    return beyond**2, 2 * np.sign(r) * beyond


SLOPES: dict[str, Slope] = {
    "log_loss": _log_loss,
    "hinge": lambda p, t, _: _hinge(p, t),
    "perceptron": lambda p, t, _: _hinge(p, t, 0.0),
    "squared_hinge": _squared_hinge,
    "modified_huber": _modified_huber,
    "squared_error": _squared_error,
    "huber": _huber,
    "epsilon_insensitive": _epsilon_insensitive,
    "squared_epsilon_insensitive": _squared_epsilon_insensitive,
}


class LinearProgram:
    """One linear score a class against the rest, or one for two classes; outputs are the scores of `decision_function`."""

    def __init__(self, model: SGDClassifier | SGDRegressor, spec: Spec) -> None:
        self._slope, self._epsilon = SLOPES[model.loss], float(model.epsilon)
        self._features = int(np.prod(spec.feature_shape))
        if spec.target.kind == "values" and spec.target.size != 1:
            raise SmltError("InvalidSpec", f"SGDRegressor predicts one value, and the data set has {spec.target.size}")
        self._classes = spec.target.size if spec.target.kind == "class" else 0
        self._scores = 1 if self._classes in (0, 2) else self._classes
        self._intercept = bool(model.fit_intercept)

    def parameters(self, seed: int) -> Parameters:
        trained: dict[str, Array] = {"coef_": np.zeros((self._scores, self._features), np.float32)}
        if self._intercept:
            trained["intercept_"] = np.zeros(self._scores, np.float32)
        return Parameters(trained, notes=(_NOTE,))

    def gradient(self, weights: Weights, batch: Batch, at: LaneStep) -> Gradient:
        x = batch.features.reshape(batch.samples, -1).astype(np.float64)
        losses, slopes = self._slope(self._decide(weights, batch.features), self._signs(batch.targets), self._epsilon)
        return Gradient(float(losses.sum()), {"coef_": slopes.T @ x, "intercept_": slopes.sum(axis=0)})

    def evaluate(self, weights: Weights, batch: Batch) -> Evaluation:
        scores = self._decide(weights, batch.features)
        losses, _ = self._slope(scores, self._signs(batch.targets), self._epsilon)
        return Evaluation(scores.astype(np.float32), float(losses.sum()))

    def predict(self, weights: Weights, features: Array) -> Any:
        return self._decide(weights, features).astype(np.float32)

    def _decide(self, weights: Weights, features: Array) -> Array:
        x = features.reshape(features.shape[0], -1).astype(np.float64)
        scores = x @ weights["coef_"].astype(np.float64).T
        return scores + weights["intercept_"] if self._intercept else scores

    def _signs(self, targets: Array) -> Array:
        if self._classes == 0:
            return targets.astype(np.float64)
        labels = targets[:, None] == (np.array([1]) if self._scores == 1 else np.arange(self._classes))
        return np.where(labels, 1.0, -1.0)


class NetworkProgram:
    """scikit-learn's own network; outputs are its values, or log-probabilities, whose largest is the class."""

    def __init__(self, model: MLPClassifier | MLPRegressor, spec: Spec) -> None:
        self._classes = spec.target.size if spec.target.kind == "class" else 0
        self._model = clone(model).set_params(alpha=0.0, random_state=spec.seed, early_stopping=False, solver="sgd", batch_size=1)
        self._model.set_params(learning_rate_init=1e-30)
        self._features = int(np.prod(spec.feature_shape))
        # One step of almost no length makes the layers, as scikit-learn starts them.
        sample = np.zeros((1, self._features))
        if self._classes:
            self._model.partial_fit(sample, [0], classes=np.arange(self._classes))
        else:
            self._model.partial_fit(sample, np.zeros(1) if spec.target.size == 1 else np.zeros((1, spec.target.size)))

    def parameters(self, seed: int) -> Parameters:
        layers = zip(self._model.coefs_, self._model.intercepts_, strict=True)
        trained = {}
        for i, (coefficients, intercepts) in enumerate(layers):
            trained[f"coefs_.{i}"], trained[f"intercepts_.{i}"] = (
                coefficients.astype(np.float32),
                intercepts.astype(np.float32),
            )
        return Parameters(trained, notes=(_NOTE,))

    def gradient(self, weights: Weights, batch: Batch, at: LaneStep) -> Gradient:
        seed_everything(at.bits)
        model = self._set(weights)
        x = batch.features.reshape(batch.samples, -1).astype(np.float64)
        sizes = [x.shape[1], *(layer.shape[1] for layer in model.coefs_)]
        activations = [x, *(np.empty((batch.samples, size)) for size in sizes[1:])]
        deltas = [np.empty_like(activation) for activation in activations[1:]]
        coefficients = [np.empty_like(layer) for layer in model.coefs_]
        intercepts = [np.empty_like(layer) for layer in model.intercepts_]
        backprop = (
            x,
            self._targets(batch.targets),
            *((None,) if _TAKES_WEIGHT else ()),
            activations,
            deltas,
            coefficients,
            intercepts,
        )
        loss, coefficients, intercepts = model._backprop(*backprop)
        named = {}
        for i, (coefficient, intercept) in enumerate(zip(coefficients, intercepts, strict=True)):
            named[f"coefs_.{i}"], named[f"intercepts_.{i}"] = batch.samples * coefficient, batch.samples * intercept
        # Its loss is a mean over a sample's values, and its gradient that of their sum.
        width = 1 if self._classes else batch.targets.shape[1]
        return Gradient(float(loss) * batch.samples * width, named)

    def evaluate(self, weights: Weights, batch: Batch) -> Evaluation:
        outputs = self.predict(weights, batch.features).astype(np.float64)
        if not self._classes:
            return Evaluation(outputs, float(0.5 * ((outputs - batch.targets) ** 2).sum()))
        if self._classes == 2:
            return Evaluation(outputs, float(np.logaddexp(0.0, np.where(batch.targets == 1, -1, 1) * outputs[:, 0]).sum()))
        return Evaluation(outputs, float(-outputs[np.arange(batch.samples), batch.targets].sum()))

    def predict(self, weights: Weights, features: Array) -> Any:
        model = self._set(weights)
        x = features.reshape(features.shape[0], -1).astype(np.float64)
        if not self._classes:
            return model.predict(x).reshape(features.shape[0], -1).astype(np.float32)
        probabilities = np.maximum(model.predict_proba(x), 1e-300)
        logs = np.log(probabilities)
        # Two classes have one score: what the logistic function makes a probability of.
        return (logs[:, 1:] - logs[:, :1] if self._classes == 2 else logs).astype(np.float32)

    def _set(self, weights: Weights) -> Any:
        model = self._model
        model.coefs_ = [weights[f"coefs_.{i}"].astype(np.float64) for i in range(len(model.coefs_))]
        model.intercepts_ = [weights[f"intercepts_.{i}"].astype(np.float64) for i in range(len(model.intercepts_))]
        return model

    def _targets(self, targets: Array) -> Array:
        if not self._classes:
            return targets.astype(np.float64)
        if self._classes == 2:
            return (targets == 1).astype(np.float64)[:, None]
        return np.eye(self._classes)[targets]


#: Newer versions weigh samples, by an argument in the middle.
_TAKES_WEIGHT = "sample_weight" in MLPClassifier._backprop.__code__.co_varnames
