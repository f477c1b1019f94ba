"""What a preprocessing step is described by, and what is told of two that differ."""

from __future__ import annotations

import functools
import json
from enum import Enum
from typing import Any

import numpy as np
import pytest

from holdfast._frameworks.transforms import describe_transform, fingerprint_of, transform_changes


class Filter(Enum):
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


class Resize:
    def __init__(self, size: int, interpolation: Filter = Filter.BILINEAR) -> None:
        self.size, self.interpolation = size, interpolation

    def __call__(self, values: Any) -> Any:
        return values[: self.size]


class ToTensor:
    __slots__ = ()

    def __call__(self, values: Any) -> Any:
        return values / 255


class Normalize:
    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = mean, std
        self._calls = 0

    def __call__(self, values: Any) -> Any:
        self._calls += 1
        return (values - self.mean) / self.std


class Compose:
    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms


def pipeline(mean: float = 0.485, size: int = 32, **more: Any) -> Compose:
    return Compose([Resize(size, **more), ToTensor(), Normalize([mean, 0.456, 0.406], [0.229, 0.224, 0.225])])


def changes(a: Any, b: Any) -> list[str]:
    before, now = describe_transform(a), describe_transform(b)
    assert json.loads(json.dumps(before)) == before
    return [f"{path}: {was} -> {is_}" for path, was, is_ in transform_changes(before, now)]


def test_equal_pipelines_have_equal_fingerprints_whatever_they_did_meanwhile() -> None:
    one, two = pipeline(), pipeline()
    one.transforms[2](np.zeros(3))
    assert changes(one, two) == []
    assert fingerprint_of(describe_transform(one)) == fingerprint_of(describe_transform(two))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (pipeline(mean=0.5), "transforms.2.mean: [0.485, 0.456, 0.406] -> [0.5, 0.456, 0.406]"),
        (pipeline(size=28), "transforms.0.size: 32 -> 28"),
        (
            pipeline(interpolation=Filter.BICUBIC),
            "transforms.0.interpolation: Filter.BILINEAR -> Filter.BICUBIC",
        ),
        (
            Compose(pipeline().transforms[1:]),
            "transforms.steps: ['Resize', 'ToTensor', 'Normalize'] -> ['ToTensor', 'Normalize']",
        ),
        (ToTensor(), "class: Compose -> ToTensor"),
    ],
)  # fmt: skip
def test_what_changed_is_named_and_told_once(other: Any, told: str) -> None:
    assert changes(pipeline(), other) == [told]


def scale(values: Any, by: float = 255.0) -> Any:
    """A function of the user's own."""
    return values / by


def scale_to_signed(values: Any, by: float = 255.0) -> Any:
    return values / by * 2 - 1


def test_functions_are_told_by_code_defaults_and_what_they_bring_along() -> None:
    assert changes(scale, scale) == []
    assert len(changes(scale, scale_to_signed)) == 1
    assert changes(functools.partial(scale, by=255), functools.partial(scale, by=256)) == ["by: 255 -> 256"]

    def with_mean(mean: np.ndarray) -> Any:
        return lambda values: values - mean

    (told,) = changes(with_mean(np.array([1.0, 2.0])), with_mean(np.array([1.0, 3.0])))
    assert told == "mean: [1.0, 2.0] -> [1.0, 3.0]"
    (large,) = changes(with_mean(np.zeros(1000)), with_mean(np.ones(1000)))
    assert large.startswith("mean: float64[1000] ")
    assert changes(with_mean(np.zeros(1000)), with_mean(np.zeros(1000))) == []


def test_a_cast_of_a_constant_is_no_change() -> None:
    one = Normalize([0.485, 0.456], [0.229, 0.224])
    two = Normalize(np.float32([0.485, 0.456]), np.float32([0.229, 0.224]))
    assert changes(one, two) == []


def test_circles_and_depth_end() -> None:
    one = Compose([])
    one.transforms.append(one)
    assert describe_transform(one)["transforms.0.class"] == "Compose"
    deep: Any = 1
    for _ in range(500):
        deep = Compose([deep])
    assert len(describe_transform(deep)) < 50


def test_a_scaler_that_was_fitted_anew() -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    draw = np.random.default_rng(0)
    one = preprocessing.StandardScaler().fit(draw.normal(0, 1, (50, 2)))
    two = preprocessing.StandardScaler().fit(draw.normal(5, 1, (50, 2)))
    told = changes(one, two)
    assert {row.partition(":")[0] for row in told} == {"mean_", "scale_", "var_"}
    assert changes(one, one) == []
    assert changes(one, preprocessing.StandardScaler(with_std=False).fit(np.zeros((50, 2))))


def test_modules_of_torch() -> None:
    torch = pytest.importorskip("torch")

    class Shift(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, by: float) -> None:
            super().__init__()
            self.register_buffer("by", torch.tensor([by, by]))
            self.inner = torch.nn.Softplus(beta=by)

    assert changes(Shift(1.0), Shift(1.0)) == []
    assert changes(Shift(1.0), Shift(2.0)) == ["by: [1.0, 1.0] -> [2.0, 2.0]", "inner.beta: 1.0 -> 2.0"]
