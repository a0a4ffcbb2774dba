"""Serves the engine's questions about a loaded program: what there is to train, a lane's gradient, outputs."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from . import determinism
from .errors import SmltError
from .loading import blamed_on, check_packages, load_program, used_packages
from .memory import SharedMemory
from .program import Array, Batch, LaneStep, Parameters, Program, Spec, Statistic, Weights, spec_of

Message = dict[str, Any]
#: The statistic that carries the mean weight of a batch's losses. Source: contracts/loss.ts.
LOSS_WEIGHT = "smlt.loss-weight"


def flat_names(tensors: Mapping[str, Array]) -> list[Message]:
    """Names and shapes in flat-vector order: what a program of smlt calls its parameters."""
    return [{"name": name, "shape": list(np.shape(value))} for name, value in tensors.items()]


def views(flat: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Named views of a flat vector, one after the other."""
    named, offset = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape, dtype=np.int64))
        named[name] = flat[offset : offset + size].reshape(shape)
        offset += size
    return named


class Session:
    """One loaded program with its memory."""

    def __init__(self, folder: Path, entry: str, spec: Spec) -> None:
        self._folder, self._entry, self._spec = folder, entry, spec
        started = time.perf_counter()
        self.program: Program = load_program(folder, entry, spec)
        with blamed_on(folder, entry):
            self.parameters: Parameters = self.program.parameters(spec.seed)
        if spec.weighted:
            weight = {LOSS_WEIGHT: Statistic(np.ones((), np.float32), 1.0)}
            self.parameters = replace(self.parameters, statistics={**self.parameters.statistics, **weight})
        _check_parameters(self.parameters, entry)
        self.load_ms = (time.perf_counter() - started) * 1_000
        shapes = {name: np.shape(value) for name, value in self.parameters.trained.items()}
        statistics = {name: np.shape(each.value) for name, each in self.parameters.statistics.items()}
        count = sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())
        observed = sum(int(np.prod(shape, dtype=np.int64)) for shape in statistics.values())
        self.memory = SharedMemory(count, observed)
        # One object for as long as the session lives: adapters bind to it once.
        self.weights: Weights = {**views(self.memory.params, shapes), **views(self.memory.statistics, statistics)}
        self._gradients = views(self.memory.vector[:count], shapes)
        self._observed = views(self.memory.vector[count : count + observed], statistics)
        for name, value in self.parameters.trained.items():
            self.weights[name][...] = value
        for name, statistic in self.parameters.statistics.items():
            self.weights[name][...] = statistic.value

    @property
    def constants(self) -> str:
        """Digest of what gradients depend on and nobody stores."""
        digest = sha256()
        for name, value in self.parameters.constants.items():
            digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
            digest.update(np.ascontiguousarray(value).data)
        return digest.hexdigest()

    def gradient(self, samples: int, at: LaneStep) -> None:
        """Fills the vector from the samples in memory."""
        self.compute(self._batch(samples), at)

    def compute(self, batch: Batch, at: LaneStep) -> None:
        """Fills the vector: gradient sums, statistics times samples, loss sum."""
        with blamed_on(self._folder, self._entry):
            found = self.program.gradient(self.weights, batch, at)
            _fill(self._gradients, found.gradients, "gradients", 1)
            observed = found.observed if found.weight is None else {**found.observed, LOSS_WEIGHT: found.weight / batch.samples}
            _fill(self._observed, observed, "observed", batch.samples)
            self.memory.vector[-1] = found.loss

    def forward(self, samples: int, with_targets: bool) -> Message:
        batch = self._batch(samples)
        with blamed_on(self._folder, self._entry):
            if with_targets:
                evaluation = self.program.evaluate(self.weights, batch)
                outputs, loss = evaluation.outputs, evaluation.loss
            else:
                outputs, loss = self.program.predict(self.weights, batch.features), None
        outputs = np.asarray(outputs, np.float32)
        if outputs.shape[:1] != (samples,):
            raise SmltError(
                "InvalidSpec",
                f"{self._entry}: outputs of {samples} samples have shape {list(outputs.shape)}; expected the sample axis first",
            )
        return {"offset": self.memory.put_outputs(outputs), "length": outputs.size, "loss": loss}

    def _batch(self, samples: int) -> Batch:
        shape, target = (samples, *self._spec.feature_shape), self._spec.target
        size = int(np.prod(shape, dtype=np.int64))
        labels = target.kind == "class"
        count = samples * (1 if labels else target.size)
        raw = self.memory.samples(4 * (size + count))
        features = np.frombuffer(raw, np.float32, size).reshape(shape)
        if labels:
            return Batch(features, np.frombuffer(raw, np.int32, count, 4 * size).astype(np.int64))
        return Batch(features, np.frombuffer(raw, np.float32, count, 4 * size).reshape(samples, target.size))


def _fill(into: Mapping[str, Array], values: Mapping[str, Any], what: str, factor: int) -> None:
    for name, view in into.items():
        if name not in values:
            raise SmltError("ProgramFailed", f"{what}: {name} is missing; expected one for each of {', '.join(into)}")
        view[...] = values[name] if factor == 1 else np.float32(factor) * np.asarray(values[name], np.float32)


def _check_parameters(parameters: Parameters, entry: str) -> None:
    if not parameters.trained:
        raise SmltError("InvalidSpec", f"{entry}: the model has no parameters to train")
    statistics: dict[str, Statistic] = dict(parameters.statistics)
    for name, value in [*parameters.trained.items(), *((name, each.value) for name, each in statistics.items())]:
        if np.asarray(value).dtype.kind != "f":
            raise SmltError("InvalidSpec", f"{entry}: parameter {name} is of type {np.asarray(value).dtype}; expected float32")


class Host:
    """Answers one question after the other."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._opened = 0
        self._answers: dict[str, Callable[[Message], Message]] = {
            "load": self._load,
            "gradient": self._gradient,
            "forward": self._forward,
            "close": self._close,
            "cpuClass": lambda _: {"cpuClass": determinism.cpu_class()},
        }

    def answer(self, question: Message) -> Message:
        try:
            answer = self._answers[question["ask"]](question)
        except SmltError as error:
            return {"error": {"code": error.code, "message": str(error)}}
        return {
            **answer,
            "peakRssMib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2),
        }

    def _load(self, question: Message) -> Message:
        spec = spec_of(question)
        if (lock := question.get("packages")) is not None:
            check_packages(lock)
        session = Session(Path(question["folder"]), question["entry"], spec)
        constants = session.constants
        if (expected := question.get("constants")) is not None and expected != constants:
            raise SmltError(
                "NotDeterministic",
                f"{question['entry']}: what the model does not train (frozen weights, buffers) differs from when the program was prepared: "
                "build it from a fixed seed or from a file among model.files",
            )
        self._opened += 1
        self._sessions[self._opened] = session
        return {
            "session": self._opened,
            "params": flat_names(session.parameters.trained),
            "statistics": [
                {**named, "momentum": session.parameters.statistics[named["name"]].momentum}
                for named in flat_names({name: each.value for name, each in session.parameters.statistics.items()})
            ],
            "constants": constants,
            # Looking through what is installed takes half a second, and whoever knows the packages has just checked them.
            "packages": used_packages() if lock is None else lock,
            "notes": list(session.parameters.notes),
            "memory": {"path": session.memory.path, **session.memory.offsets},
            "loadMs": session.load_ms,
        }

    def _gradient(self, question: Message) -> Message:
        self._sessions[question["session"]].gradient(question["samples"], LaneStep(question["seed"], question["step"], question["lane"]))
        return {}

    def _forward(self, question: Message) -> Message:
        return self._sessions[question["session"]].forward(question["samples"], question["targets"])

    def _close(self, question: Message) -> Message:
        self._sessions.pop(question["session"]).memory.close()
        return {}
