"""Each adapter against central differences of its own loss, in the framework's arithmetic, and for bits that repeat."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from smlt import Batch, LaneStep, SmltError
from smlt.host import Session
from smlt.program import Spec, Target, spec_of

CLASSES = Target("class", 3)
PROGRAMS = {
    "torch": (
        "torch",
        """
        from torch import nn
        def model():
            return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        """,
    ),
    "keras": (
        "tensorflow",
        """
        import keras
        model = keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(3)])
        """,
    ),
    "jax": (
        "jax",
        """
        import jax, jax.numpy as jnp
        def init(key):
            a, b = jax.random.split(key)
            return {"first": jax.random.normal(a, (6, 8)) / 3, "second": [jax.random.normal(b, (8, 3)) / 3, jnp.zeros(3)]}
        def apply(params, x):
            return jnp.tanh(x @ params["first"]) @ params["second"][0] + params["second"][1]
        """,
    ),
    "flax": (
        "flax",
        """
        import flax.linen as nn
        class Net(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(nn.tanh(nn.Dense(8)(x)))
        model = Net()
        """,
    ),
    "equinox": (
        "equinox",
        """
        import equinox as eqx, jax
        def model(key):
            return eqx.nn.MLP(6, 3, 8, 1, activation=jax.numpy.tanh, key=key)
        """,
    ),
}


def load(
    tmp_path: Path,
    source: str,
    loss: str = "softmax-cross-entropy",
    target: Target = CLASSES,
    shape: tuple[int, ...] = (6,),
    **settings: object,
) -> Session:
    (tmp_path / "program.py").write_text(textwrap.dedent(source))
    return Session(tmp_path, "program.py", Spec(shape, target, loss, 1, settings))


def batch_of(samples: int = 5, shape: tuple[int, ...] = (6,), target: Target = CLASSES, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(samples, *shape)).astype(np.float32)
    if target.kind == "class":
        return Batch(features, rng.integers(0, target.size, samples))
    return Batch(features, rng.normal(size=(samples, target.size)).astype(np.float32))


def slope(session: Session, batch: Batch, name: str, index: tuple[int, ...], width: float = 1e-2) -> float:
    """Central difference of the loss in one parameter, extrapolated once (Richardson), since float32 wants a wide step."""

    def loss(delta: float) -> float:
        kept = session.weights[name][index]
        session.weights[name][index] = kept + np.float32(delta)
        found = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0)).loss
        session.weights[name][index] = kept
        return found

    wide, narrow = ((loss(h) - loss(-h)) / (2 * h) for h in (width, width / 2))
    return (4 * narrow - wide) / 3


def check_gradient(session: Session, batch: Batch, tolerance: float = 2e-3) -> None:
    found = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0))
    gradients = {name: np.array(value) for name, value in found.gradients.items()}
    for name, value in session.parameters.trained.items():
        assert np.shape(gradients[name]) == np.shape(value)
        for index in list(np.ndindex(np.shape(value)))[:: max(1, np.size(value) // 4)]:
            assert gradients[name][index] == pytest.approx(slope(session, batch, name, index), rel=tolerance, abs=tolerance)


def smoothed_and_weighted(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    weights = np.array([0.5, 2.0, 1.0])
    minus_log_p = np.log(np.exp(z).sum(axis=1, keepdims=True)) - z
    own = minus_log_p[np.arange(len(y)), y]
    return 0.9 * weights[y] * own + 0.1 / 3 * (weights * minus_log_p).sum(axis=1)


def positive_weighted(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-z))
    return -(3 * t * np.log(p) + (1 - t) * np.log(1 - p)).mean(axis=1)


def huber(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    d = np.abs(z - t)
    return np.where(d < 0.5, d**2 / 2, 0.5 * (d - 0.25)).mean(axis=1)


#: Losses of samples by their definitions, and the settings that they are for.
SETTINGS = {
    "softmax-cross-entropy": (smoothed_and_weighted, CLASSES, {"labelSmoothing": 0.1, "classWeights": [0.5, 2, 1]}),
    "bce-with-logits": (positive_weighted, Target("values", 3), {"positiveWeight": 3}),
    "huber": (huber, Target("values", 3), {"delta": 0.5}),
}


@pytest.mark.parametrize("loss", SETTINGS)
@pytest.mark.parametrize("name", ["torch", "keras", "jax"])
def test_a_loss_with_settings_is_what_it_is_defined_as_and_gradients_are_its_slopes(name: str, loss: str, tmp_path: Path):
    module, source = PROGRAMS[name]
    pytest.importorskip(module)
    by_definition, target, settings = SETTINGS[loss]
    session = load(tmp_path, source, loss, target, **settings)
    batch = batch_of(target=target)
    z = np.asarray(session.program.predict(session.weights, batch.features), np.float64)
    found = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0))
    assert found.loss == pytest.approx(by_definition(z, batch.targets).sum(), rel=1e-5)
    assert found.weight == (np.array([0.5, 2, 1])[batch.targets].sum() if target.kind == "class" else None)
    check_gradient(session, batch)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"kind": "softmax-cross-entropy", "ignoreIndex": 0}, "ignoreIndex"),
        ({"kind": "softmax-cross-entropy", "classWeights": [1, 2]}, "got 2; expected 3"),
        ({"kind": "hinge", "margin": 2}, "margin"),
    ],
)
def test_settings_that_python_does_not_take_are_refused(loss: dict, expected: str):
    with pytest.raises(SmltError, match=expected):
        spec_of({"loss": loss, "target": {"kind": "class", "classes": 3}, "featureShape": [6], "seed": 1})


@pytest.mark.parametrize("name", PROGRAMS)
class TestEveryAdapter:
    @pytest.fixture(autouse=True)
    def session(self, name: str, tmp_path: Path):
        module, source = PROGRAMS[name]
        pytest.importorskip(module)
        return load(tmp_path, source)

    def test_its_gradients_are_the_slopes_of_its_loss(self, session):
        check_gradient(session, batch_of())

    def test_its_loss_is_the_sum_of_the_samples_cross_entropies(self, session):
        batch = batch_of()
        z = np.asarray(session.program.predict(session.weights, batch.features), np.float64)
        expected = (np.log(np.exp(z).sum(axis=1)) - z[np.arange(5), batch.targets]).sum()
        assert session.program.gradient(session.weights, batch, LaneStep(1, 0, 0)).loss == pytest.approx(expected, rel=1e-5)

    def test_gives_the_same_bits_again_and_after_another_batch(self, session):
        def bits(batch):
            found = session.program.gradient(session.weights, batch, LaneStep(1, 3, 2))
            return [found.loss, *(np.array(value).tobytes() for value in found.gradients.values())]

        first = bits(batch_of(5))
        bits(batch_of(4, seed=9))
        assert bits(batch_of(5)) == first

    def test_follows_parameters_that_change_in_place(self, session):
        before = np.array(session.program.predict(session.weights, batch_of().features))
        for name in session.parameters.trained:
            session.weights[name][...] = 0
        after = np.array(session.program.predict(session.weights, batch_of().features))
        assert before.any() and not after.any()


class TestPyTorch:
    @pytest.fixture(autouse=True)
    def torch(self):
        return pytest.importorskip("torch")

    def test_batch_statistics_are_the_batchs_own_and_evaluation_uses_the_running_ones(self, tmp_path, torch):
        session = load(tmp_path, "from torch import nn\nmodel = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3))")
        batch = batch_of(7)
        found = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0))
        assert found.observed["0.running_mean"] == pytest.approx(batch.features.mean(axis=0), rel=1e-4, abs=1e-6)
        # As PyTorch keeps it: the unbiased variance.
        assert found.observed["0.running_var"] == pytest.approx(batch.features.var(axis=0, ddof=1), rel=1e-4)
        assert session.parameters.statistics["0.running_var"].momentum == 0.1
        session.weights["0.running_mean"][...] = 3
        z = np.array(session.program.predict(session.weights, np.full((1, 6), 3, np.float32)))
        assert z == pytest.approx(np.array(session.weights["1.bias"])[None, :], abs=1e-6)

    def test_dropout_follows_seed_step_and_lane_alone(self, tmp_path, torch):
        session = load(tmp_path, "from torch import nn\nmodel = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))")

        def loss(*at: int) -> float:
            return session.program.gradient(session.weights, batch_of(), LaneStep(*at)).loss

        first = loss(1, 0, 0)
        assert len({first, loss(1, 1, 0), loss(1, 0, 1), loss(2, 0, 0)}) == 4
        assert loss(1, 0, 0) == first

    def test_frozen_parameters_are_constants_and_get_no_gradient(self, tmp_path, torch):
        source = """
        from torch import nn
        model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))
        for parameter in model[0].parameters():
            parameter.requires_grad_(False)
        """
        session = load(tmp_path, source)
        assert list(session.parameters.trained) == ["1.weight", "1.bias"]
        assert list(session.parameters.constants) == ["0.weight", "0.bias"]

    def test_a_tied_parameter_is_trained_once_with_both_gradients(self, tmp_path, torch):
        source = """
        from torch import nn
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
                self.b.weight = self.a.weight
            def forward(self, x):
                return self.head(self.b(self.a(x).tanh()))
        model = Tied
        """
        session = load(tmp_path, source)
        assert "b.weight" not in session.parameters.trained
        check_gradient(session, batch_of())

    def test_a_mean_loss_of_the_user_counts_every_sample_alike(self, tmp_path, torch):
        source = """
        from torch import nn
        from torch.nn import functional as F
        model = nn.Linear(6, 3)
        def loss(outputs, targets):
            return F.cross_entropy(outputs, targets, label_smoothing=0.1{})
        """
        mean = load(tmp_path, source.format(""), loss="program").program
        each = load(tmp_path, source.format(', reduction="none"'), loss="program")
        found = [program.gradient(each.weights, batch_of(), LaneStep(1, 0, 0)) for program in (mean, each.program)]
        assert found[0].loss == pytest.approx(found[1].loss, rel=1e-6)
        assert found[0].gradients["weight"] == pytest.approx(found[1].gradients["weight"], rel=1e-5, abs=1e-6)

    def test_refuses_a_loss_in_two_places(self, tmp_path, torch):
        with pytest.raises(SmltError, match='"loss": "program"'):
            load(tmp_path, "from torch import nn\nmodel = nn.Linear(6, 3)\ndef loss(outputs, targets): ...")

    def test_an_operator_without_a_deterministic_form_is_refused_by_name(self, tmp_path, torch):
        assert torch.get_deterministic_debug_mode() == 2 or load(tmp_path, PROGRAMS["torch"][1]) is not None
        assert torch.get_deterministic_debug_mode() == 2
        assert torch.get_num_threads() == 1


class TestKeras:
    @pytest.fixture(autouse=True)
    def tensorflow(self):
        return pytest.importorskip("tensorflow")

    def test_batch_statistics_and_dropout(self, tmp_path):
        source = """
        import keras
        model = keras.Sequential([keras.layers.BatchNormalization(momentum=0.9), keras.layers.Dropout(0.5), keras.layers.Dense(3)])
        """
        session = load(tmp_path, source)
        (mean, variance) = session.parameters.statistics
        assert session.parameters.statistics[mean].momentum == pytest.approx(0.1)
        batch = batch_of(7)
        found = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0))
        assert found.observed[mean] == pytest.approx(batch.features.mean(axis=0), rel=1e-4, abs=1e-6)
        assert found.observed[variance] == pytest.approx(batch.features.var(axis=0), rel=1e-4)
        losses = {session.program.gradient(session.weights, batch, LaneStep(1, step, 0)).loss for step in (0, 1, 2)}
        assert len(losses) == 3
        assert session.program.gradient(session.weights, batch, LaneStep(1, 0, 0)).loss == found.loss


class TestScikitLearn:
    @pytest.fixture(autouse=True)
    def sklearn(self):
        return pytest.importorskip("sklearn")

    @pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron"])
    @pytest.mark.parametrize("classes", [2, 3])
    def test_a_classifiers_gradient_is_the_step_that_partial_fit_takes(self, tmp_path, loss, classes):
        from sklearn.linear_model import SGDClassifier

        target = Target("class", classes)
        session = load(tmp_path, f"from sklearn.linear_model import SGDClassifier\nmodel = SGDClassifier(loss={loss!r})", "program", target)
        rng = np.random.default_rng(4)
        for name in session.parameters.trained:
            session.weights[name][...] = rng.normal(size=session.weights[name].shape)
        for seed in range(12):
            batch = batch_of(1, target=target, seed=seed)
            model = SGDClassifier(loss=loss, penalty=None, learning_rate="constant", eta0=1e-4, average=False)
            model.partial_fit(batch.features.astype(np.float64), batch.targets, classes=np.arange(classes))
            model.coef_[...], model.intercept_[...] = session.weights["coef_"], session.weights["intercept_"]
            before = model.coef_.copy(), model.intercept_.copy()
            model.partial_fit(batch.features.astype(np.float64), batch.targets)
            gradients = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0)).gradients
            assert gradients["coef_"] == pytest.approx((before[0] - model.coef_) / 1e-4, rel=1e-5, abs=1e-5)
            assert gradients["intercept_"] == pytest.approx((before[1] - model.intercept_) / 1e-4, rel=1e-5, abs=1e-5)

    @pytest.mark.parametrize("loss", ["squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"])
    def test_a_regressors_gradient_is_the_step_that_partial_fit_takes(self, tmp_path, loss):
        from sklearn.linear_model import SGDRegressor

        target = Target("values", 1)
        session = load(tmp_path, f"from sklearn.linear_model import SGDRegressor\nmodel = SGDRegressor(loss={loss!r})", "program", target)
        session.weights["coef_"][...] = np.random.default_rng(4).normal(size=(1, 6))
        for seed in range(12):
            batch = batch_of(1, target=target, seed=seed)
            model = SGDRegressor(loss=loss, penalty=None, learning_rate="constant", eta0=1e-4)
            model.partial_fit(batch.features.astype(np.float64), batch.targets[:, 0])
            model.coef_[...], model.intercept_[...] = session.weights["coef_"][0], session.weights["intercept_"]
            before = model.coef_.copy()
            model.partial_fit(batch.features.astype(np.float64), batch.targets[:, 0])
            gradients = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0)).gradients
            assert gradients["coef_"][0] == pytest.approx((before - model.coef_) / 1e-4, rel=1e-5, abs=1e-5)

    @pytest.mark.parametrize(
        ("model", "target"),
        [
            ("MLPClassifier(hidden_layer_sizes=(8,), activation='tanh')", Target("class", 2)),
            ("MLPClassifier(hidden_layer_sizes=(8,), activation='tanh')", Target("class", 3)),
            ("MLPRegressor(hidden_layer_sizes=(8,), activation='tanh')", Target("values", 1)),
            ("MLPRegressor(hidden_layer_sizes=(8,), activation='tanh')", Target("values", 2)),
        ],
    )
    def test_a_networks_gradients_are_the_slopes_of_its_loss_and_evaluation_has_the_same_loss(self, tmp_path, model, target):
        session = load(tmp_path, f"from sklearn.neural_network import *\nmodel = {model}", "program", target)
        batch = batch_of(target=target)
        loss = session.program.gradient(session.weights, batch, LaneStep(1, 0, 0)).loss
        evaluated = session.program.evaluate(session.weights, batch).loss
        check_gradient(session, batch)
        assert evaluated == pytest.approx(loss, rel=1e-5)

    def test_refuses_an_estimator_that_follows_no_gradient(self, tmp_path):
        with pytest.raises(SmltError, match="follows no gradient"):
            load(tmp_path, "from sklearn.naive_bayes import GaussianNB\nmodel = GaussianNB()", "program")
