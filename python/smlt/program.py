"""What a program is to smlt: four methods over named float32 arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from .errors import SmltError
from .lanes import PROGRAM, hash32

Array = NDArray[Any]
#: Parameters and running statistics by name: views of the flat vectors, read-only by agreement.
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Target:
    """What a data set's targets are: labels below `classes`, or `width` values a sample."""

    kind: Literal["class", "values"]
    size: int


@dataclass(frozen=True)
class Spec:
    """What a program is made for: known before its model is built."""

    feature_shape: tuple[int, ...]
    target: Target
    loss: str
    seed: int
    #: Of the loss, with the job's names.
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weighted(self) -> bool:
        """Whether the loss is a mean over weights of samples, of the whole batch."""
        return "classWeights" in self.settings


#: Settings of losses that adapters compute. Source: contracts/loss.ts.
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "softmax-cross-entropy": ("labelSmoothing", "classWeights"),
    "bce-with-logits": ("positiveWeight",),
    "huber": ("delta",),
}


def spec_of(given: Mapping[str, Any]) -> Spec:
    """From the engine's words. @raises SmltError `InvalidSpec` for settings that Python does not take"""
    target, loss = given["target"], given["loss"]
    settings: dict[str, Any] = {} if isinstance(loss, str) else {**loss}
    kind = loss if isinstance(loss, str) else settings.pop("kind")
    unknown = [name for name in settings if name not in SETTINGS.get(kind, ())]
    if unknown:
        raise SmltError("InvalidSpec", f'loss {kind}: Python does not take {", ".join(unknown)}: define `loss`, and say "program"')
    size = target["classes"] if target["kind"] == "class" else target["width"]
    weights = settings.get("classWeights")
    if weights is not None and (target["kind"] != "class" or len(weights) != size):
        expected = f"{size}, one a class" if target["kind"] == "class" else "none, since the data set holds no class labels"
        raise SmltError("InvalidSpec", f"loss {kind}: classWeights: got {len(weights)}; expected {expected}")
    return Spec(tuple(given["featureShape"]), Target(target["kind"], size), kind, given["seed"], settings)


@dataclass(frozen=True)
class Batch:
    """Samples of one lane. `features`: float32 `[n, ...]`. `targets`: int64 `[n]` labels, or float32 `[n, width]`."""

    features: Array
    targets: Array

    @property
    def samples(self) -> int:
        return int(self.features.shape[0])


@dataclass(frozen=True)
class LaneStep:
    """All that a lane's randomness may follow from: never the worker, the attempt or the time."""

    seed: int
    step: int
    lane: int

    @property
    def bits(self) -> int:
        """32 bits to seed a framework's generator with."""
        return hash32((PROGRAM, self.seed, self.step, self.lane))


@dataclass(frozen=True)
class Statistic:
    """A running statistic: blended once a step as `running = running * (1 - momentum) + observed * momentum`."""

    value: Array
    momentum: float


@dataclass(frozen=True)
class Parameters:
    """Initial values, in the order in which they lie in the flat vectors.

    `constants` are not trained and not stored, but gradients depend on them (frozen weights): every function must build
    the same ones, and smlt checks that it does.
    """

    trained: Mapping[str, Array]
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gradient:
    """`loss`: sum over the samples. `gradients`: of that sum. `observed`: this batch's statistics, means over its samples.

    `weight`: what the batch's sums are to be divided by, added up over these samples; None: their number.
    """

    loss: float
    gradients: Mapping[str, Any]
    observed: Mapping[str, Any] = field(default_factory=dict)
    weight: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """`outputs`: float32 `[n, ...]`. `loss`: sum over the samples, where the program has a loss of its own."""

    outputs: Any
    loss: float | None = None


@runtime_checkable
class Program(Protocol):
    """The bare protocol: anything with these four methods trains. The same arguments must give the same bits."""

    def parameters(self, seed: int) -> Parameters: ...

    def gradient(self, weights: Weights, batch: Batch, at: LaneStep) -> Gradient: ...

    def evaluate(self, weights: Weights, batch: Batch) -> Evaluation: ...

    def predict(self, weights: Weights, features: Array) -> Any: ...
