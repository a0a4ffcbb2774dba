"""Which samples a lane draws, and what its randomness follows from: docs/lanes.md, sections 1 and 2.

In a run the engine draws the samples. Here is the same rule for a notebook, a check, a test: what lane 3 saw at step 1200.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SmltError

#: Purposes: the first word of a key.
SHUFFLE, NOISE, INITIAL_PARAMS, DATA_SET, PROGRAM = 1, 2, 3, 4, 5
_MASK = 0xFFFFFFFF


def _mix(x: int) -> int:
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _MASK
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _MASK
    return x ^ (x >> 15)


def hash32(words: Sequence[int]) -> int:
    h = 0x9E3779B9
    for word in words:
        h = _mix(((h ^ word) + 0x9E3779B9) & _MASK)
    return h


def _uniform_bits(key: Sequence[int], count: int) -> NDArray[np.uint64]:
    """Random bits at counters 0 to `count - 1`."""
    whiten, add = np.uint64(hash32((*key, 0))), np.uint64(hash32((*key, 1)))
    mask = np.uint64(_MASK)

    def mix(x: Any) -> Any:
        x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x21F0AAAD)) & mask
        x = ((x ^ (x >> np.uint64(15))) * np.uint64(0x735A2D97)) & mask
        return x ^ (x >> np.uint64(15))

    bits: NDArray[np.uint64] = mix((mix(np.arange(count, dtype=np.uint64) ^ whiten) + add) & mask)
    return bits


def permutation(length: int, key: Sequence[int]) -> list[int]:
    """Fisher-Yates from the end, with the bits of `key`."""
    order = list(range(length))
    bits = _uniform_bits(key, length).tolist()
    for i in range(length - 1, 0, -1):
        j = bits[i] * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (part < total % parts) for part in range(parts)]


def lane_batches(batch_size: int, lanes: int) -> list[int]:
    """How many samples each lane takes of a batch."""
    if batch_size < lanes:
        raise SmltError("InvalidSpec", f"batch of {batch_size} for {lanes} lanes: expected at least one sample a lane")
    return _shares(batch_size, lanes)


def lane_partitions(samples: int, lanes: int) -> list[tuple[int, int]]:
    """The samples `[start, end)` that each lane draws from."""
    if samples < lanes:
        raise SmltError("BadData", f"data set of {samples} samples for {lanes} lanes: expected at least one sample a lane")
    spans, start = [], 0
    for share in _shares(samples, lanes):
        spans.append((start, start + share))
        start += share
    return spans


@lru_cache(maxsize=256)
def _epoch(seed: int, epoch: int, lane: int, length: int) -> tuple[int, ...]:
    return tuple(permutation(length, (SHUFFLE, seed, epoch, lane)))


def lane_samples(*, seed: int, lane: int, partition: tuple[int, int], batch: int, step: int) -> list[int]:
    """Data-set indices of a lane's micro-batch: positions `[step * batch, (step + 1) * batch)` of its shuffled epochs."""
    start, end = partition
    length = end - start
    samples = []
    for position in range(step * batch, (step + 1) * batch):
        epoch, at = divmod(position, length)
        samples.append(start + _epoch(seed, epoch, lane, length)[at])
    return samples
