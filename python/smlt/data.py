"""Reads a data set: a folder with `manifest.json` and safetensors shards, as `smlt data pack` writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import SmltError
from .lanes import lane_batches, lane_partitions, lane_samples
from .program import Array, Batch, Target

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8")}
_FRAME_BYTES = 48


def read_safetensors(raw: bytes, what: str) -> dict[str, Array]:
    """Tensors by name. Source: the safetensors format, a length, a JSON header and the bytes."""
    try:
        length = int.from_bytes(raw[:8], "little")
        header: dict[str, Any] = json.loads(raw[8 : 8 + length])
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            values = np.frombuffer(raw[8 + length + first : 8 + length + last], _DTYPES[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
        return tensors
    except (ValueError, KeyError, TypeError) as error:
        raise SmltError("BadData", f"{what}: expected a safetensors file: {error}") from error


class DataSet:
    """Samples by their index in the data set; shards are read when they are needed, and kept."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            manifest = json.loads(_unframed(self.folder / "manifest.json"))
        except ValueError as error:
            raise SmltError("BadData", f"{self.folder}/manifest.json: expected JSON: {error}") from error
        self.samples: int = manifest["samples"]
        self.feature_shape: tuple[int, ...] = tuple(manifest["featureShape"])
        target = manifest["target"]
        self.target = Target(target["kind"], target["classes" if target["kind"] == "class" else "width"])
        self._shards: list[dict[str, Any]] = manifest["shards"]
        self._starts = np.cumsum([0, *(shard["samples"] for shard in self._shards)])
        self._read: dict[int, dict[str, Array]] = {}

    def batch(self, indices: Iterable[int]) -> Batch:
        """Copies samples, in the order given."""
        features, targets = [], []
        for index in indices:
            shard = int(np.searchsorted(self._starts, index, side="right")) - 1
            tensors = self._shard(shard)
            at = index - int(self._starts[shard])
            features.append(tensors["x"][at])
            targets.append(tensors["y"][at])
        return Batch(np.stack(features).astype(np.float32, copy=False), np.stack(targets))

    def lane(self, *, seed: int, step: int, lane: int, lanes: int, batch_size: int) -> Batch:
        """The micro-batch that a run gives to `lane` at `step`."""
        partition = lane_partitions(self.samples, lanes)[lane]
        share = lane_batches(batch_size, lanes)[lane]
        return self.batch(lane_samples(seed=seed, lane=lane, partition=partition, batch=share, step=step))

    def _shard(self, index: int) -> dict[str, Array]:
        if index not in self._read:
            shard = self._shards[index]
            raw = _unframed(self.folder / shard["file"])
            found = hashlib.sha256(raw).hexdigest()
            if found != shard["sha256"]:
                raise SmltError(
                    "BadData",
                    f"{self.folder}/{shard['file']}: expected SHA-256 {shard['sha256'][:12]}..., found {found[:12]}...",
                )
            self._read[index] = read_safetensors(raw, f"{self.folder}/{shard['file']}")
        return self._read[index]


def _unframed(path: Path) -> bytes:
    """A plain file, or an object of smlt's own store, which has a header before the value."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SmltError("BadData", f"{path}: expected a file of a data set, and cannot read it: {error}") from error
    return raw[_FRAME_BYTES:] if raw[:4] == b"smlt" else raw
