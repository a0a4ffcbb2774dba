"""Memory that the engine writes parameters and samples into, and reads gradients and outputs from.

One file without a name, laid out from its start: parameters | statistics | gradient vector | samples | outputs. This process
maps it; the engine, which cannot map, reads and writes it: one copy each way, whatever the size.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np

from .program import Array

_PAGE = mmap.ALLOCATIONGRANULARITY


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


class SharedMemory:
    def __init__(self, params: int, statistics: int) -> None:
        self._fd, self.path = _open()
        self.offsets = {"params": 0, "statistics": _pages(4 * params)}
        self.offsets["vector"] = self.offsets["statistics"] + _pages(4 * statistics)
        self.offsets["samples"] = self.offsets["vector"] + _pages(4 * (params + statistics + 1))
        os.ftruncate(self._fd, self.offsets["samples"])
        fixed = mmap.mmap(self._fd, self.offsets["samples"])
        self.params = np.frombuffer(fixed, np.float32, params, self.offsets["params"])
        self.statistics = np.frombuffer(fixed, np.float32, statistics, self.offsets["statistics"])
        self.vector = np.frombuffer(fixed, np.float32, params + statistics + 1, self.offsets["vector"])
        self._mapped = 0
        self._samples: mmap.mmap | None = None

    def samples(self, size: int) -> mmap.mmap:
        """The samples that the engine has written: `size` bytes."""
        if self._samples is None or size > self._mapped:
            self._mapped = _pages(size)
            end = self.offsets["samples"] + self._mapped
            if os.fstat(self._fd).st_size < end:
                os.ftruncate(self._fd, end)
            self._samples = mmap.mmap(self._fd, self._mapped, offset=self.offsets["samples"])
        return self._samples

    def put_outputs(self, outputs: Array) -> int:
        """Writes outputs behind the samples; answers where."""
        offset = self.offsets["samples"] + self._mapped
        os.pwrite(self._fd, np.ascontiguousarray(outputs, np.float32).data, offset)
        return offset

    def close(self) -> None:
        os.close(self._fd)


def _open() -> tuple[int, str]:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("smlt")
        return fd, f"/proc/{os.getpid()}/fd/{fd}"
    file, path = tempfile.mkstemp(prefix="smlt-")
    return file, path
