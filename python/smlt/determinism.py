"""Settings that make the same inputs give the same bits, applied before any framework is loaded."""

from __future__ import annotations

import os
import platform
import random
import sys
from hashlib import sha256
from typing import Any

import numpy as np

#: One thread each: a sum's order must not depend on how many cores are free.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
_XLA_FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def apply_environment() -> None:
    """For the frameworks that are loaded later. What the environment says already stands."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "xla_cpu_multi_thread_eigen" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_XLA_FLAGS}".strip()


def seed_everything(bits: int) -> frozenset[str]:
    """Seeds the generators of Python, NumPy and whatever framework is loaded; answers which those are."""
    random.seed(bits)
    np.random.seed(bits)
    seeded: dict[str, Any] = {"torch": lambda torch: torch.manual_seed(bits), "tensorflow": lambda tf: tf.random.set_seed(bits)}
    loaded = frozenset(name for name in seeded if name in sys.modules)
    for name in loaded:
        seeded[name](sys.modules[name])
    if "keras" in sys.modules:
        # Layers without a seed of their own draw one from Python's generator, which is seeded by now.
        sys.modules["keras"].utils.set_random_seed(bits)
    return loaded


def cpu_class() -> str:
    """Names the host by what kernels choose by: the CPU's model and what it can do."""
    described = f"{platform.machine()} {platform.system()}"
    try:
        with open("/proc/cpuinfo", encoding="latin1") as file:
            lines = file.read().split("\n\n")[0].splitlines()
        wanted = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part")
        described += "".join(line for line in lines if line.split("\t")[0].split(":")[0].strip() in wanted)
    except OSError:
        described += platform.processor()
    return sha256(described.encode()).hexdigest()[:16]
