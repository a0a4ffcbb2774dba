from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from smlt import determinism

determinism.apply_environment()


def safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    """The format written by hand, so that reading is not checked by writing."""
    names = {np.dtype(np.float32): "F32", np.dtype(np.int64): "I64"}
    header, body = {}, b""
    for name, value in tensors.items():
        raw = value.tobytes()
        header[name] = {"dtype": names[value.dtype], "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.fixture
def write_data(tmp_path: Path):
    """Writes a data set of labelled samples, cut into shards of 7."""

    def write(features: np.ndarray, targets: np.ndarray, target: dict) -> Path:
        folder = tmp_path / "data"
        folder.mkdir()
        shards = []
        for index, start in enumerate(range(0, len(features), 7)):
            raw = safetensors({"x": features[start : start + 7], "y": targets[start : start + 7]})
            (folder / f"shard-{index}.safetensors").write_bytes(raw)
            shards.append(
                {"file": f"shard-{index}.safetensors", "samples": len(features[start : start + 7]), "sha256": hashlib.sha256(raw).hexdigest()}
            )
        manifest = {"formatVersion": 1, "samples": len(features), "featureShape": list(features.shape[1:]), "target": target, "shards": shards}
        (folder / "manifest.json").write_text(json.dumps({**manifest, "sha256": "0" * 64}))
        return folder

    return write
