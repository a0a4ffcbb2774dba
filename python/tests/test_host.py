"""The host, asked as the engine asks it: vectors go through the shared memory."""

import os
from pathlib import Path

import numpy as np
import pytest

from smlt.host import Host

LINEAR = """
import numpy as np
from smlt import Evaluation, Gradient, Parameters, Statistic

class Linear:
    def parameters(self, seed):
        rng = np.random.default_rng(seed)
        return Parameters(
            {"w": rng.normal(size=(3, 1)).astype(np.float32), "b": np.zeros(1, np.float32)},
            {"mean": Statistic(np.zeros(3, np.float32), 0.1)}, {"scale": np.float32([2.0])})

    def gradient(self, weights, batch, at):
        error = self.predict(weights, batch.features) - batch.targets
        found = {"w": 2 * batch.features.T @ error, "b": 2 * error.sum(axis=0)}
        return Gradient(float((error**2).sum()), found, {"mean": batch.features.mean(axis=0)})

    def evaluate(self, weights, batch):
        outputs = self.predict(weights, batch.features)
        return Evaluation(outputs, float(((outputs - batch.targets) ** 2).sum()))

    def predict(self, weights, features):
        return features @ weights["w"] + weights["b"]

program = Linear()
"""


class Asked:
    """A host with one program loaded, and the file that the engine would write and read."""

    def __init__(self, folder: Path, source: str, **changes):
        (folder / "program.py").write_text(source)
        self.host = Host()
        question = {
            "folder": str(folder),
            "entry": "program.py",
            "seed": 1,
            "loss": "program",
            "featureShape": [3],
            "target": {"kind": "values", "width": 1},
        }
        self.loaded = self.host.answer({"ask": "load", **question, **changes})
        if "error" not in self.loaded:
            self.memory = self.loaded["memory"]
            self.fd = os.open(self.memory["path"], os.O_RDWR)

    def write(self, offset: int, values: np.ndarray) -> None:
        os.pwrite(self.fd, values.tobytes(), offset)

    def read(self, offset: int, count: int) -> np.ndarray:
        return np.frombuffer(os.pread(self.fd, 4 * count, offset), np.float32)

    def ask(self, **question):
        return self.host.answer({"session": self.loaded["session"], **question})


@pytest.fixture
def asked(tmp_path):
    return Asked(tmp_path, LINEAR)


def test_lays_a_gradient_out_as_the_page_says(asked):
    w, b = np.float32([1, -2, 3]), np.float32([0.5])
    x, t = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([[1], [2]])
    asked.write(asked.memory["params"], np.concatenate([w, b]))
    asked.write(asked.memory["samples"], x)
    asked.write(asked.memory["samples"] + x.nbytes, t)
    assert "error" not in asked.ask(ask="gradient", samples=2, seed=1, step=0, lane=0)
    error = x @ w[:, None] + b - t
    expected = [*(2 * x.T @ error)[:, 0], 2 * error.sum(), *x.sum(axis=0), (error**2).sum()]
    assert asked.read(asked.memory["vector"], 8).tolist() == expected


def test_outputs_follow_new_parameters_and_larger_batches(asked):
    for samples in (1, 3_000):
        x, t = np.ones((samples, 3), np.float32), np.zeros((samples, 1), np.float32)
        asked.write(asked.memory["params"], np.float32([samples, 1, 1, 0]))
        asked.write(asked.memory["samples"], x)
        asked.write(asked.memory["samples"] + x.nbytes, t)
        answer = asked.ask(ask="forward", samples=samples, targets=True)
        assert asked.read(answer["offset"], answer["length"]).tolist() == [samples + 2] * samples
        assert answer["loss"] == pytest.approx(samples * (samples + 2.0) ** 2)


def test_names_parameters_and_statistics_in_their_order(asked):
    assert asked.loaded["params"] == [{"name": "w", "shape": [3, 1]}, {"name": "b", "shape": [1]}]
    assert asked.loaded["statistics"] == [{"name": "mean", "shape": [3], "momentum": 0.1}]
    assert any(package.startswith("numpy==") for package in asked.loaded["packages"])


def test_refuses_other_constants_or_packages_than_it_was_prepared_with(tmp_path, asked):
    kept = asked.loaded["constants"]
    assert "session" in Asked(tmp_path, LINEAR, constants=kept, packages=asked.loaded["packages"]).loaded
    assert Asked(tmp_path, LINEAR.replace("[2.0]", "[3.0]"), constants=kept).loaded["error"]["code"] == "NotDeterministic"
    other = Asked(tmp_path, LINEAR, packages=["numpy==0.1"]).loaded["error"]
    assert other["code"] == "VersionSkew" and "numpy==0.1" in other["message"]


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("import nonexistent_package", "ProgramFailed", "line 1.*ModuleNotFoundError.*requirements"),
        ("def broken(:", "ProgramFailed", "line 1"),
        ("x = 1", "InvalidSpec", "expected `model`"),
        ("program = 3", "InvalidSpec", "four|methods"),
        ("model = 3\ndef loss(a, b): ...", "InvalidSpec", "no adapter knows"),
        (LINEAR.replace('"b": 2', '"c": 2'), "ProgramFailed", "b is missing"),
        (LINEAR.replace("@ error,", "@ error[:1],"), "ProgramFailed", "line 14"),
    ],
)
def test_says_what_is_wrong_with_a_program(tmp_path, source, code, says):
    asked = Asked(tmp_path, source)
    error = asked.loaded.get("error")
    if error is None:
        asked.write(asked.memory["samples"], np.ones(8, np.float32))
        error = asked.ask(ask="gradient", samples=2, seed=1, step=0, lane=0)["error"]
    assert error["code"] == code
    import re

    assert re.search(says, error["message"], re.DOTALL), error["message"]


def test_a_program_imports_the_files_beside_it_and_two_programs_do_not_share_them(tmp_path):
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "sizes.py").write_text(f"SIZE = {number}")
        loaded = Asked(folder, "import sizes\n" + LINEAR.replace("np.zeros(1,", "np.zeros(sizes.SIZE,")).loaded
        assert loaded["params"][1]["shape"] == [number]


def test_refuses_a_losss_settings_which_a_program_must_bring_itself(tmp_path):
    assert "session" in Asked(tmp_path, LINEAR, loss={"kind": "program"}).loaded
    refused = Asked(tmp_path, LINEAR, loss={"kind": "softmax-cross-entropy", "labelSmoothing": 0.1}).loaded["error"]
    assert refused["code"] == "InvalidSpec" and "labelSmoothing" in refused["message"]
