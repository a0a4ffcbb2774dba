"""PyTorch: an `nn.Module`. Trains its parameters that require gradients; BatchNorm's running statistics travel along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional as F

from ..determinism import seed_everything
from ..errors import SmltError
from ..program import Array, Batch, Evaluation, Gradient, LaneStep, Parameters, Program, Spec, Statistic, Weights
from . import loss_weight, unknown_loss

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Settings = Mapping[str, Any]


def _mean_over_values(loss_of: Callable[[Settings], Loss]) -> Callable[[Settings], Loss]:
    """A sample's loss is the mean over its values; smlt wants the sum over samples."""

    def summed(settings: Settings) -> Loss:
        each = loss_of(settings)
        return lambda outputs, targets: each(outputs, targets.reshape(outputs.shape)) / (outputs.numel() // outputs.shape[0])

    return summed


def _cross_entropy(settings: Settings) -> Loss:
    weights = settings.get("classWeights")
    weight = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    return partial(F.cross_entropy, weight=weight, label_smoothing=settings.get("labelSmoothing", 0.0), reduction="sum")


def _binary_cross_entropy(settings: Settings) -> Loss:
    weight = settings.get("positiveWeight")
    return partial(F.binary_cross_entropy_with_logits, pos_weight=None if weight is None else torch.tensor(float(weight)), reduction="sum")


#: Sums over the samples, with smlt's names, from the loss's settings. Source: contracts/loss.ts, training/losses.ts.
LOSSES: dict[str, Callable[[Settings], Loss]] = {
    "softmax-cross-entropy": _cross_entropy,
    "mse": _mean_over_values(lambda _: partial(F.mse_loss, reduction="sum")),
    "mae": _mean_over_values(lambda _: partial(F.l1_loss, reduction="sum")),
    "huber": _mean_over_values(lambda settings: partial(F.huber_loss, delta=settings.get("delta", 1.0), reduction="sum")),
    "bce-with-logits": _mean_over_values(_binary_cross_entropy),
}


def torch_program(model: Any, module: ModuleType, spec: Spec, loss: Callable[..., Any] | None) -> Program | None:
    """Adapts an `nn.Module`; None for anything else."""
    if not isinstance(model, torch.nn.Module):
        return None
    _set_deterministic()
    if loss is None and spec.loss not in LOSSES:
        raise unknown_loss(spec, tuple(LOSSES))
    return TorchProgram(
        model,
        _summed(loss) if loss is not None else LOSSES[spec.loss](spec.settings),
        getattr(module, "transform", None),
        spec,
        own_loss=loss is not None,
    )


def _set_deterministic() -> None:
    # As `use_deterministic_algorithms(True)`, without loading the compiler, which doubles a cold start.
    torch.set_deterministic_debug_mode("error")
    # Fills what an operator leaves unwritten, for those who read it: nobody here does.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_num_threads(1)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)


def _summed(loss: Loss) -> Loss:
    """A user's loss is the mean over the samples, as PyTorch's are by default, or one value a sample."""

    def total(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        value = loss(outputs, targets)
        return value * targets.shape[0] if value.ndim == 0 else value.sum()

    return total


class TorchProgram:
    def __init__(self, model: torch.nn.Module, loss: Loss, transform: Callable[..., Any] | None, spec: Spec, own_loss: bool) -> None:
        self._model = model.float()
        self._loss = loss
        self._own_loss = own_loss
        self._spec = spec
        self._transform = transform
        # `named_parameters` names a tied parameter once.
        self._trained = {name: parameter for name, parameter in self._model.named_parameters() if parameter.requires_grad}
        self._norms = _norms(self._model)
        self._bound: Weights | None = None

    def parameters(self, seed: int) -> Parameters:
        statistics = {}
        for name, norm, momentum in self._norms:
            statistics[f"{name}running_mean"] = Statistic(_array(norm.running_mean), momentum)
            statistics[f"{name}running_var"] = Statistic(_array(norm.running_var), momentum)
        constants = {
            name: _array(tensor)
            for name, tensor in [*self._model.named_parameters(), *self._model.named_buffers()]
            if name not in self._trained and name not in statistics and not name.endswith("num_batches_tracked")
        }
        return Parameters({name: _array(tensor) for name, tensor in self._trained.items()}, statistics, constants, _notes(self._model))

    def gradient(self, weights: Weights, batch: Batch, at: LaneStep) -> Gradient:
        self._bind(weights)
        seed_everything(at.bits)
        self._model.train()
        for name, norm, _ in self._norms:
            # With weight 1 for what it sees, a running statistic is the batch's own. One that is frozen stays as it is.
            norm.momentum = 1.0
            for part in ("running_mean", "running_var"):
                setattr(norm, part, torch.from_numpy(weights[name + part].copy()))
        features, targets = torch.from_numpy(batch.features), torch.from_numpy(batch.targets)
        if self._transform is not None:
            features, targets = self._transform(features, targets)
        loss = self._loss(self._model(features), targets)
        gradients = torch.autograd.grad(loss, list(self._trained.values()), allow_unused=True)
        observed = {}
        for name, norm, _ in self._norms:
            observed[f"{name}running_mean"], observed[f"{name}running_var"] = (
                norm.running_mean.numpy(),
                norm.running_var.numpy(),
            )
        named = zip(self._trained, gradients, strict=True)
        slopes = {name: 0.0 if each is None else each.numpy() for name, each in named}
        return Gradient(float(loss.detach()), slopes, observed, loss_weight(self._spec, targets))

    def evaluate(self, weights: Weights, batch: Batch) -> Evaluation:
        with torch.no_grad():
            outputs = self._forward(weights, batch.features)
            loss = float(self._loss(outputs, torch.from_numpy(batch.targets))) if self._own_loss else None
        return Evaluation(outputs.numpy(), loss)

    def predict(self, weights: Weights, features: Array) -> Any:
        with torch.no_grad():
            return self._forward(weights, features).numpy()

    def _forward(self, weights: Weights, features: Array) -> torch.Tensor:
        self._bind(weights)
        self._model.eval()
        for name, norm, _ in self._norms:
            for part in ("running_mean", "running_var"):
                setattr(norm, part, torch.from_numpy(weights[name + part]))
        outputs = self._model(torch.from_numpy(features))
        if not isinstance(outputs, torch.Tensor):
            raise SmltError("InvalidSpec", f"the model's output is a {type(outputs).__name__}; expected one tensor [n, ...]")
        return outputs

    def _bind(self, weights: Weights) -> None:
        """Makes the module's parameters views of the flat vector: later values are there without a copy."""
        if self._bound is weights:
            return
        for name, parameter in self._trained.items():
            parameter.data = torch.from_numpy(weights[name])
        self._bound = weights


def _array(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().contiguous().numpy().copy()


def _norms(model: torch.nn.Module) -> list[tuple[str, Any, float]]:
    """Modules with running statistics: prefix of their names, module, weight of the new value."""
    norms = []
    for name, part in model.named_modules():
        if not isinstance(part, torch.nn.modules.batchnorm._NormBase) or part.running_mean is None:
            continue
        if part.momentum is None:
            raise SmltError(
                "InvalidSpec",
                f"{name}: momentum=None averages over all steps, which smlt cannot cut among functions; give a number, such as 0.1",
            )
        norms.append((f"{name}." if name else "", part, float(part.momentum)))
    return norms


def _notes(model: torch.nn.Module) -> tuple[str, ...]:
    notes = []
    if any(isinstance(part, torch.nn.modules.batchnorm._NormBase) for part in model.modules()):
        notes.append("batch normalisation sees one lane's samples at a time (ghost batches), not the whole batch")
    return tuple(notes)
