import numpy as np
import pytest

from smlt import SmltError
from smlt.data import DataSet, read_safetensors


@pytest.fixture
def folder(write_data):
    features = np.arange(40 * 6, dtype=np.float32).reshape(40, 2, 3)
    return write_data(features, np.arange(40, dtype=np.int64) % 4, {"kind": "class", "classes": 4})


def test_gives_samples_in_the_order_asked_for_across_shards(folder):
    batch = DataSet(folder).batch([39, 0, 7, 6, 0])
    assert batch.features.shape == (5, 2, 3)
    assert batch.features[:, 0, 0].tolist() == [39 * 6, 0, 42, 36, 0]
    assert batch.targets.tolist() == [3, 0, 3, 2, 0]


def test_an_epoch_of_a_lane_is_its_partition_each_sample_once(folder):
    data = DataSet(folder)
    # 40 samples on 4 lanes: partitions of 10, drawn 2 at a time.
    seen = [data.lane(seed=5, step=step, lane=1, lanes=4, batch_size=8).features[:, 0, 0] // 6 for step in range(5)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(10, 20))


def test_refuses_a_shard_that_was_changed(folder):
    shard = folder / "shard-1.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    with pytest.raises(SmltError, match="SHA-256"):
        DataSet(folder).batch([8])


def test_refuses_what_is_no_data_set(tmp_path):
    with pytest.raises(SmltError, match="cannot read"):
        DataSet(tmp_path)
    with pytest.raises(SmltError, match="safetensors"):
        read_safetensors(b"nonsense", "x")
