"""Rows on devices, on the devices there are; what needs a GPU is marked so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._facts.hardware import DEVICE_TYPES, bias_form, memory_format, since_capability
from memory_catalog import found, subject


@pytest.mark.parametrize(
    "shape, stride, told",
    [((4, 3, 3, 3), (27, 9, 3, 1), "contiguous"), ((4, 3, 3, 3), (27, 1, 9, 3), "channels_last"),
     ((4, 1, 1, 1), (1, 1, 1, 1), "contiguous"), ((2, 3, 2, 2, 2), (24, 1, 12, 6, 3), "channels_last_3d"),
     ((3, 4), (1, 3), None), ((3, 4), (4, 1), "contiguous"), ((3,), (1, 1), None), ((), (), "contiguous")],
)  # fmt: skip
def test_memory_formats(shape: tuple[int, ...], stride: tuple[int, ...], told: str | None) -> None:
    assert memory_format(shape, stride) == told


def test_memory_formats_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    for shape in ((4, 3, 3, 3), (4, 3, 2, 5), (2, 3, 2, 2, 2)):
        plain = torch.zeros(shape)
        last = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        assert memory_format(shape, plain.stride()) == "contiguous"
        assert memory_format(shape, plain.to(memory_format=last).stride()) == str(last).removeprefix("torch.")


def test_channels_last_is_kept_by_the_live_model(tmp_path: Path) -> None:
    """load_state_dict copies values; strides stay those of the live parameter, whichever side is channels_last."""
    torch = pytest.importorskip("torch")
    saved = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    torch.save(saved.state_dict(), tmp_path / "m.pt")
    live = torch.nn.Conv2d(3, 4, 3)
    before = live.weight.stride()
    live.load_state_dict(torch.load(tmp_path / "m.pt"))
    assert live.weight.stride() == before and torch.equal(live.weight, saved.weight)
    with holdfast.open(tmp_path / "m.pt") as catalog:
        assert np.array_equal(catalog.read("weight"), saved.weight.detach().numpy())
        assert memory_format((4, 3, 3, 3), catalog["weight"].attributes["stride"]) == "channels_last"


def test_a_cuda_tagged_file_on_a_machine_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.load raises without map_location; Holdfast reads the same values."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    state = {"w": torch.arange(6.0).reshape(2, 3)}
    with monkeypatch.context() as patched:  # the tag that torch.save writes on a machine with a GPU
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(state, tmp_path / "m.pt")
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        torch.load(tmp_path / "m.pt")
    assert torch.equal(torch.load(tmp_path / "m.pt", map_location="cpu")["w"], state["w"])
    with holdfast.open(tmp_path / "m.pt") as catalog:
        assert np.array_equal(catalog.read("w"), state["w"].numpy())
        (finding,) = found("device-tag", subject(catalog, *catalog.faults, depth="header"))
    assert (
        finding.severity == "note"
        and "map_location" in (finding.remedy or "")
        and "Holdfast reads" in (finding.remedy or "")
    )


@pytest.mark.parametrize(
    "kernel, bias, told",
    [((4, 12), (12,), "GRU(reset_after=False)"), ((4, 12), (2, 12), "GRU(reset_after=True)"), ((4, 12), (24,), "CuDNNGRU"),
     ((4, 16), (16,), "LSTM"), ((4, 16), (32,), "CuDNNLSTM"), ((4, 4), (4,), None), ((4, 12), (5,), None), ((0, 0), (0,), None)],
)  # fmt: skip
def test_forms_of_recurrent_biases(kernel: tuple[int, ...], bias: tuple[int, ...], told: str | None) -> None:
    assert bias_form(kernel, bias) == told


def test_forms_are_those_of_keras() -> None:
    keras = pytest.importorskip("keras")
    for layer, told in (
        (keras.layers.GRU(4, reset_after=False), "GRU(reset_after=False)"),
        (keras.layers.GRU(4), "GRU(reset_after=True)"),
        (keras.layers.LSTM(4), "LSTM"),
    ):
        layer.build((None, 5, 3))
        shapes = {w.name: tuple(w.shape) for w in layer.weights}
        assert bias_form(shapes["recurrent_kernel"], shapes["bias"]) == told


def test_mixed_precision_keeps_float32_variables(tmp_path: Path) -> None:
    """Weights carry over exactly; the loss scale is state of its own."""
    keras = pytest.importorskip("keras")
    for policy in ("mixed_float16", "mixed_bfloat16"):
        layer = keras.layers.Dense(3, dtype=policy)
        layer.build((None, 2))
        assert {str(w.dtype) for w in layer.weights} == {"float32"}
    plain = keras.layers.Dense(3)
    plain.build((None, 2))
    plain.set_weights(layer.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(plain.get_weights(), layer.get_weights(), strict=True))
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    scaled.build(plain.trainable_variables)
    assert any("dynamic_scale" in v.path for v in scaled.variables)


def test_number_types_of_devices() -> None:
    assert since_capability("bfloat16", (7, 5)) is not None and since_capability("bfloat16", (8, 0)) is None
    assert since_capability("float32", (1, 0)) is None
    assert len({d for row in DEVICE_TYPES for d in row.dtypes}) == sum(
        len(row.dtypes) for row in DEVICE_TYPES
    )


# -- with a GPU --------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch


@pytest.mark.gpu
def test_gpu_files_are_tagged_and_read(cuda: Any, tmp_path: Path) -> None:
    state = {"w": cuda.randn(3, 4, device="cuda"), "b": cuda.randn(4, device="cuda").bfloat16()}
    cuda.save(state, tmp_path / "m.pt")
    with holdfast.open(tmp_path / "m.pt") as catalog:
        assert any(f.slug == "device-tag" for f in catalog.faults)
        assert np.array_equal(catalog.read("w"), state["w"].cpu().numpy())
        assert catalog["b"].dtype == "bfloat16"


@pytest.mark.gpu
def test_gpu_packed_recurrent_weights(cuda: Any, tmp_path: Path) -> None:
    """On a GPU the parameters of an LSTM are views of one packed buffer; each must be read as its own."""
    layer = cuda.nn.LSTM(3, 4, num_layers=2).cuda()
    layer(cuda.randn(5, 2, 3, device="cuda"))
    state = layer.state_dict()
    starts = {v.untyped_storage().data_ptr() for v in state.values()}
    assert len(starts) == 1, "not packed"
    cuda.save(state, tmp_path / "m.pt")
    with holdfast.open(tmp_path / "m.pt") as catalog:
        for name, value in state.items():
            assert np.array_equal(catalog.read(name), value.cpu().numpy()), name


@pytest.mark.gpu
def test_gpu_capability_rows(cuda: Any) -> None:
    """bfloat16 and float8 support as torch itself tells it."""
    capability = cuda.cuda.get_device_capability()
    assert (since_capability("bfloat16", capability) is None) == cuda.cuda.is_bf16_supported(
        including_emulation=False
    )
    a = cuda.randn(16, 16, device="cuda").to(cuda.float8_e4m3fn)
    b = cuda.randn(16, 16, device="cuda").to(cuda.float8_e4m3fn).t()
    one = cuda.ones((), device="cuda")
    try:
        cuda._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=cuda.bfloat16)
        computes = True
    except RuntimeError:
        computes = False
    assert computes == (since_capability("float8_e4m3fn", capability) is None)


@pytest.mark.gpu
def test_gpu_tf32_changes_products(cuda: Any) -> None:
    """With TF32 a float32 product differs by about 1e-3 where the device has it, and not at all where it lacks it."""
    cuda.manual_seed(0)
    a, b = cuda.randn(512, 512, device="cuda"), cuda.randn(512, 512, device="cuda")
    before = cuda.backends.cuda.matmul.allow_tf32
    try:
        cuda.backends.cuda.matmul.allow_tf32 = False
        exact = a @ b
        cuda.backends.cuda.matmul.allow_tf32 = True
        fast = a @ b
    finally:
        cuda.backends.cuda.matmul.allow_tf32 = before
    gap = float((exact - fast).abs().max() / exact.abs().max())
    if since_capability("tf32", cuda.cuda.get_device_capability()) is None:
        assert 1e-6 < gap < 1e-2
    else:
        assert gap == 0
