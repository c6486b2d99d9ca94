"""The parts of the demonstration that are plain functions; the whole of it is run in test_demo_run.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "digits"
MODULES = ("data", "training", "figure", "loading", "compare", "run")


@pytest.fixture(scope="module")
def demo() -> Iterator[SimpleNamespace]:
    """The modules of the demonstration, which is a folder of scripts and no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: __import__(name) for name in MODULES})
    finally:
        sys.path.remove(str(FOLDER))
        for name in MODULES:
            sys.modules.pop(name, None)


class ByHand:
    """Stands for a generated module: the same interface, computed by the hand-written program of compare.py."""

    def __init__(self, gradients: Callable[..., float]) -> None:
        self.value_and_grad = SimpleNamespace(bind=self._bind)
        self._gradients = gradients

    def _bind(self, X: Any, Y: Any, out: Any, **params: Any) -> Callable[[], None]:
        value, gradients = out
        named = dict(zip(params, gradients, strict=True))

        def call() -> None:
            value[...] = self._gradients(X, Y, params, named)

        return call

    @staticmethod
    def evaluate(X: Any, Y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> SimpleNamespace:
        return SimpleNamespace(A2=np.tanh(X @ W1 + b1) @ W2 + b2)


def test_the_data_are_those_of_the_source(demo: SimpleNamespace) -> None:
    digits = demo.data.load()
    assert digits.images.shape == (1797, 64)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (digits.images.min(), digits.images.max(), digits.images.sum()) == (0, 16, 561718)


def test_the_test_third_is_disjoint_from_the_training_digits(demo: SimpleNamespace) -> None:
    train, test = demo.data.split(demo.data.load())
    assert (len(train), len(test)) == (1198, 599)
    first = demo.data.load()
    np.testing.assert_array_equal(test.images[0], first.images[2])
    np.testing.assert_array_equal(train.images[:2], first.images[:2])
    np.testing.assert_array_equal(train.images[2], first.images[3])


def test_labels_become_rows_with_a_single_one(demo: SimpleNamespace) -> None:
    rows = demo.data.one_hot(np.array([3, 0]))
    assert rows.sum(1).tolist() == [1, 1] and rows[0, 3] == rows[1, 0] == 1


@pytest.mark.parametrize(("down", "right"), [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1)])
def test_a_shift_by_a_whole_pixel_moves_the_image(demo: SimpleNamespace, down: int, right: int) -> None:
    image = np.zeros((1, 8, 8))
    image[0, 3, 4] = 16
    moved = demo.data.shift(image.reshape(1, 64), down, right).reshape(8, 8)
    assert moved[3 + down, 4 + right] == 16 and moved.sum() == 16


def test_half_a_pixel_is_the_mean_of_both_places(demo: SimpleNamespace) -> None:
    image = np.zeros((1, 8, 8))
    image[0, 3, 4] = 16
    moved = demo.data.shift(image.reshape(1, 64), 0.5, 0).reshape(8, 8)
    assert moved[3, 4] == moved[4, 4] == 8


def test_what_leaves_the_image_is_lost(demo: SimpleNamespace) -> None:
    image = np.zeros((1, 64))
    image[0, 0] = 16
    assert demo.data.shift(image, -1, 0).sum() == 0


def test_augmented_digits_keep_their_labels(demo: SimpleNamespace) -> None:
    train, _ = demo.data.split(demo.data.load())
    more = demo.data.augment(train)
    assert len(more) == 9 * len(train)
    np.testing.assert_array_equal(more.images[: len(train)], train.images)
    np.testing.assert_array_equal(more.labels.reshape(9, -1), np.tile(train.labels, (9, 1)))


def test_parameters_are_views_of_one_vector(demo: SimpleNamespace) -> None:
    vector, views = demo.training.flat({"W": (2, 3), "b": (3,)}, "float32")
    views["W"][1, 2] = 5
    assert vector.tolist() == [0, 0, 0, 0, 0, 5, 0, 0, 0]
    assert all(view.flags.c_contiguous and view.dtype == np.float32 for view in views.values())


def test_momentum_is_heavy_ball(demo: SimpleNamespace) -> None:
    vector, velocity, gradient = np.array([1.0]), np.array([0.5]), np.array([2.0])
    demo.training.momentum_step(vector, velocity, gradient, rate=0.1, momentum=0.9)
    assert velocity[0] == pytest.approx(0.25) and vector[0] == pytest.approx(1.25)


def test_the_hand_written_gradient_is_right(demo: SimpleNamespace) -> None:
    """Central differences check the peer of the comparison: nobody is measured against a wrong program."""
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((6, 64)), demo.data.one_hot(rng.integers(0, 10, 6))
    vector, params = demo.training.flat(demo.training.SHAPES, "float64")
    vector[:] = 0.1 * rng.standard_normal(vector.size)
    gradient, gradients = demo.training.flat(demo.training.SHAPES, "float64")
    scratch = {name: np.empty_like(view) for name, view in gradients.items()}
    demo.compare.gradients_by_hand(X, Y, params, gradients)
    for index in rng.integers(0, vector.size, 60):
        before = vector[index]
        values = []
        for change in (1e-5, -1e-5):
            vector[index] = before + change
            values.append(demo.compare.gradients_by_hand(X, Y, params, scratch))
        vector[index] = before
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(gradient[index], abs=1e-8)


def test_training_reaches_the_goal_and_repeats_itself(demo: SimpleNamespace) -> None:
    data = demo.run.prepare()
    module = ByHand(demo.compare.gradients_by_hand)

    def evaluate(params: Any) -> float:
        return float(demo.training.accuracy(demo.run.predict(module, params, data.test), data.shown.labels))

    recipe = demo.training.Recipe(epochs=5)
    params, history = demo.training.train(module, data.train, evaluate, recipe)
    again, _ = demo.training.train(module, data.train, evaluate, recipe)
    assert history.accuracies[-1] >= 0.97
    assert len(history.losses) == 5 * (9 * 1198 // 32)
    for name, value in params.items():
        np.testing.assert_array_equal(value, again[name])


def test_a_contender_that_goes_elsewhere_ends_the_comparison(demo: SimpleNamespace) -> None:
    right = ByHand(demo.compare.gradients_by_hand)

    def off(X: Any, Y: Any, params: Any, out: Any) -> float:
        loss = demo.compare.gradients_by_hand(X, Y, params, out)
        out["W2"] *= 1.01
        return float(loss)

    batch = demo.compare.batch()
    found = [demo.compare.bracketc_contender(name, module, *batch) for name, module in (("right", right),)]
    assert demo.compare.check(found) < 1e-5
    with pytest.raises(SystemExit, match="wrong one is wrong"):
        demo.compare.check([demo.compare.bracketc_contender("wrong one", ByHand(off), *batch)])


def test_wrong_digits_are_always_shown(demo: SimpleNamespace) -> None:
    labels = np.arange(100) % 10
    predicted = labels.copy()
    predicted[[40, 90]] = (labels[[40, 90]] + 1) % 10
    chosen = demo.figure.shown(predicted, labels, 10)
    assert len(chosen) == 10 and chosen[-2:].tolist() == [40, 90]


def test_two_modules_of_one_name_live_side_by_side(demo: SimpleNamespace, tmp_path: Path) -> None:
    for backend in ("c", "numpy"):
        (tmp_path / backend).mkdir()
        (tmp_path / backend / "digits.py").write_text(f"BACKEND = {backend!r}\n")
    assert list(demo.loading.backends(tmp_path)) == ["c", "numpy"]
    loaded = [demo.loading.load_generated(tmp_path / backend) for backend in ("c", "numpy")]
    assert [module.BACKEND for module in loaded] == ["c", "numpy"]
    assert "digits" not in sys.modules


def test_the_figure_is_drawn(demo: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the figure needs matplotlib")
    _, test = demo.data.split(demo.data.load())
    history = demo.training.History([2.0, 1.0, 0.5, 0.4], [0.9, 0.98])
    predicted = np.where(np.arange(599) % 100 == 0, 0, test.labels)
    file = tmp_path / "new" / "digits.png"
    medians = {"bracketc C": 1e-5, "NumPy by hand": 3e-5}
    demo.figure.draw(file, history, test.images, test.labels, predicted, medians)
    assert file.read_bytes().startswith(b"\x89PNG")
    demo.figure.draw(file, history, test.images, test.labels, predicted, {})
