"""Against the vectors of docs/lanes.md, which smlt's TypeScript is held against too."""

import json
from pathlib import Path

import pytest

from smlt import SmltError, lanes

VECTORS = json.loads((Path(__file__).parents[2] / "test/training/fixtures/lanes-vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["hash32"])
def test_hashes_as_the_page_says(vector):
    assert lanes.hash32(vector["in"]["words"]) == vector["out"]


@pytest.mark.parametrize("vector", VECTORS["uniformBits"])
def test_draws_the_bits_of_the_page(vector):
    counter = vector["in"]["counter"]
    if counter < 1_000_000:
        assert lanes._uniform_bits(vector["in"]["key"], counter + 1)[counter] == vector["out"]


@pytest.mark.parametrize("vector", VECTORS["permutation"])
def test_shuffles_as_the_page_says(vector):
    assert lanes.permutation(vector["in"]["length"], vector["in"]["key"]) == vector["out"]


@pytest.mark.parametrize("vector", VECTORS["laneBatches"])
def test_shares_out_a_batch(vector):
    assert lanes.lane_batches(vector["in"]["batchSize"], vector["in"]["lanes"]) == vector["out"]


@pytest.mark.parametrize("vector", VECTORS["lanePartitions"])
def test_cuts_a_data_set(vector):
    assert [list(span) for span in lanes.lane_partitions(vector["in"]["samples"], vector["in"]["lanes"])] == vector["out"]


@pytest.mark.parametrize("vector", VECTORS["laneSamples"])
def test_draws_the_samples_that_a_run_draws(vector):
    assert lanes.lane_samples(**vector["in"]) == vector["out"]


def test_refuses_more_lanes_than_samples():
    with pytest.raises(SmltError, match="at least one sample a lane"):
        lanes.lane_batches(7, 8)
