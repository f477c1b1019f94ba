"""Which versions load what: the rows against real files of many versions, and against the loaders installed here."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._core.errors import UsageError
from holdfast._facts.versions import (
    NEEDS,
    VERSIONS,
    fact,
    installed_readers,
    judge,
    parse_reader,
    parse_version,
    within,
    writer_of,
)
from holdfast._facts.versions.traits import TRAITS
from holdfast._facts.versions.weights_only import takes
from memory_catalog import Memory, normal
from shared import ZOO, needs_shared, zoo_cases

REFUSES, LOSES = "reader-refuses", "reader-loses"


def said(path: str | Path, **reader: str) -> set[str]:
    with holdfast.open(path) as catalog:
        return {fault.slug for fault in judge(catalog, reader=reader)}


# -- the parts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, version", [("2.2.4-tf", (2, 2, 4)), ("2.13.0+cpu", (2, 13, 0)), ("Keras 3", (3,)), ("none", None), (None, None)]
)  # fmt: skip
def test_versions_are_read(text: Any, version: Any) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "version, span, inside",
    [((3, 13), ">=3.13", True), ((3, 12, 9), ">=3,<3.13", True), ((3,), ">=3.13", False), ((3, 15, 1), "==3.15", True),
     ((3, 1), "==3.15", False), ((2, 6), "<2.6", False), ((2, 6), "<=2.6", True), ((2, 6, 1), ">2.6", True), ((9,), "", True)],
)  # fmt: skip
def test_spans(version: tuple[int, ...], span: str, inside: bool) -> None:
    assert within(version, span) is inside


def test_a_span_that_is_none() -> None:
    with pytest.raises(ValueError, match="no span"):
        within((1,), "~=3.0")


def test_readers_that_a_person_names() -> None:
    assert parse_reader(["keras==3.15", "tensorflow-cpu==2.21", "cuda==none"]) == {
        "keras": "3.15", "tensorflow": "2.21", "cuda": "none",
    }  # fmt: skip
    for odd in ("keras", "keras=3", "leftpad==1", "keras==new"):
        with pytest.raises(UsageError, match="no reader"):
            parse_reader([odd])


def test_readers_that_are_installed() -> None:
    found = installed_readers()
    assert parse_version(found["numpy"]) == parse_version(np.__version__)
    assert found["python"].startswith("3.")


def test_rows_are_in_order() -> None:
    assert len({need.key for need in NEEDS}) == len(NEEDS)
    for need in NEEDS:
        assert need.trait in TRAITS and need.source and need.remedy and need.text and need.readers
        assert within((0,), need.versions) in (True, False) and within((0,), need.writer) in (True, False)
        assert bool(need.lost) == (need.outcome == "loads-with-losses")
        assert need.versions, f"{need.key} would hold of every version"
    assert fact("numpy-core") is VERSIONS["numpy-core"]


def test_a_reader_that_is_not_asked_about_says_nothing() -> None:
    of = Memory(
        {"w": normal(2, 2)},
        form="keras-archive",
        attributes={"keras_version": "2.15.0", "model_class": "Functional"},
    )
    assert judge(of, reader={}) == [] and judge(of, reader={"torch": "1.0"}) == []
    assert [f.slug for f in judge(of, reader={"keras": "3.0"})] == [REFUSES]
    assert writer_of(of) == (2, 15, 0)


# -- types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, form, reader, slug",
    [
        ("float8_e4m3fn", "safetensors", {"safetensors": "0.4.0"}, REFUSES),
        ("float8_e4m3fn", "safetensors", {"safetensors": "0.4.1"}, None),
        ("complex64", "safetensors", {"safetensors": "0.6.2"}, REFUSES),
        ("complex64", "torch-zip", {"torch": "2.0"}, None),
        ("uint16", "torch-zip", {"torch": "2.2.2"}, REFUSES),
        ("uint16", "torch-zip", {"torch": "2.3"}, None),
        ("uint8", "torch-zip", {"torch": "2.2.2"}, None),
        ("uint16", "npz", {"torch": "2.2.2"}, None),
        ("int4", "tf-bundle", {"tensorflow": "2.8"}, REFUSES),
    ],
)
def test_types_that_came_later(dtype: str, form: str, reader: dict[str, str], slug: str | None) -> None:
    of = Memory({"w": normal(2, 2)}, {"w": {"dtype": dtype}}, form=form)
    assert [f.slug for f in judge(of, reader=reader)] == ([slug] if slug else [])


# -- PyTorch -----------------------------------------------------------------------------------------------------


def test_the_weights_only_list_is_that_of_the_installed_torch() -> None:
    unpickler = pytest.importorskip("torch._weights_only_unpickler")
    theirs = set(unpickler._get_allowed_globals())
    assert [name for name in sorted(theirs) if not takes(name)] == []
    for name in ("builtins.eval", "numpy._core.multiarray.scalar", "torch.nn.modules.linear.Linear", "torch.load",
                 "torch.hub.load", "argparse.Namespace", "torch._utils._rebuild_sparse_csr_tensor", "os.system"):  # fmt: skip
        assert not takes(name) and name not in theirs


# A text integer (opcode I) of Python 2, which only the pickle itself shows.
UNSEEN = {"torch-1.4.0-py27/train_adamw_amsgrad"}


@needs_shared
def test_what_torch_loads() -> None:
    """All of the zoo's torch.save files with the installed torch.load, as it stands."""
    torch = pytest.importorskip("torch")
    wrong, tried = [], 0
    for case in zoo_cases("torch_zip", "torch_legacy"):
        if case["id"] in UNSEEN:
            continue
        for name in case["files"]:
            path = ZOO / case["folder"] / name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    torch.load(path, map_location="cpu")
                    loads = True
                except Exception:  # noqa: BLE001 - that it raises is the answer
                    loads = False
            tried += 1
            if (REFUSES in said(path, torch=torch.__version__)) == loads:
                wrong.append((case["id"], loads))
    assert tried > 60 and wrong == []


def test_mmap_needs_the_zip_container(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {"w": torch.ones(3)}
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(state, tmp_path / "new.pt")
    assert torch.equal(torch.load(tmp_path / "new.pt", mmap=True)["w"], state["w"])
    with pytest.raises(RuntimeError, match="mmap"):
        torch.load(tmp_path / "old.pt", mmap=True)
    assert "mmap" in fact("mmap-container").text


def test_numpy_scalars(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"best": np.float64(0.5), "w": torch.ones(2)}, tmp_path / "m.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "m.pt")
    path = tmp_path / "m.pt"
    assert said(path, torch="2.13.0") == {REFUSES} and said(path, torch="2.5.1") == set()
    assert said(path, numpy="1.24.0") == ({REFUSES} if np.__version__ >= "2" else set())
    torch.save({"best": 0.5, "w": torch.ones(2)}, path)
    assert said(path, torch="2.13.0", numpy="1.24.0", python="3.6") == set()


# -- Keras: what other versions did with these files, as tried with them ------------------------------------------

_NEW = ("jax_dot_keras", "jax_dot_keras_amsgrad_ema", "jax_dot_keras_int4", "jax_dot_keras_mixed_float16",
        "numpy_dot_keras", "tensorflow_dot_keras_amsgrad_ema", "torch_keras_model_h5", "jax_keras_model_h5")  # fmt: skip
TRIED: list[tuple[str, str, str, set[str]]] = [
    *((f"keras-3.15.0/{c}", "keras", v, {REFUSES}) for c in _NEW for v in ("3.3.3", "3.8.0", "3.10.0")),
    *((f"keras-3.15.0/{c}", "tf_keras", "2.21.0", {REFUSES}) for c in _NEW),
    *(("keras-3.8.0/jax_dot_keras_amsgrad_ema", "keras", v, s)
      for v, s in (("3.3.3", {REFUSES}), ("3.8.0", set()), ("3.10.0", set()), ("3.15.1", set()))),
    *(("keras-3.8.0/jax_dot_keras_bfloat16", "keras", v, set()) for v in ("3.3.3", "3.8.0", "3.10.0", "3.15.1")),
    *(("keras-3.8.0/jax_dot_keras_mixed_float16", "keras", v, {LOSES}) for v in ("3.3.3", "3.8.0", "3.10.0", "3.15.1")),
    ("keras-3.8.0/jax_dot_keras_int8", "keras", "3.3.3", {REFUSES}),
    *(("keras-3.8.0/jax_dot_keras_int8", "keras", v, set()) for v in ("3.4.1", "3.5.0", "3.8.0", "3.10.0", "3.15.1")),
    *(("keras-3.8.0/jax_keras_model_h5", "keras", v, {LOSES}) for v in ("3.8.0", "3.10.0", "3.15.1")),
    *(("keras-3.0.5/tensorflow_dot_keras", "keras", v, {LOSES}) for v in ("3.8.0", "3.10.0", "3.15.1")),
    *(("keras-3.0.5/tensorflow_dot_keras_sgd_schedule", "keras", v, set()) for v in ("3.8.0", "3.10.0", "3.15.1")),
    *(("keras-3.3.3/tensorflow_dot_keras_sgd_schedule", "keras", v, set()) for v in ("3.3.3", "3.15.1")),
    *((c, "keras", v, {REFUSES}) for v in ("3.3.3", "3.8.0", "3.10.0", "3.15.1") for c in (
        "keras-1.2.2/model_h5", "keras-2.3.1/model_h5", "tensorflow-1.13.2/keras_model_h5",
        "tensorflow-2.8.4/keras_model_h5", "tensorflow-2.15.1/keras_model_h5", "tensorflow-2.13.1/dot_keras",
        "tensorflow-2.15.1/dot_keras_amsgrad_ema", "tensorflow-2.15.1/dot_keras_sgd_schedule")),
    *((c, "tf_keras", "2.21.0", set()) for c in (
        "keras-2.3.1/model_h5", "tensorflow-1.13.2/keras_model_h5", "tensorflow-2.8.4/keras_model_h5",
        "tensorflow-2.15.1/keras_model_h5", "tensorflow-2.15.1/dot_keras_amsgrad_ema")),
    *((c, "tf_keras", "2.21.0", {REFUSES}) for c in ("keras-1.2.2/model_h5", "tensorflow-2.13.1/dot_keras",
                                                     "keras-3.0.5/tensorflow_dot_keras", "keras-3.8.0/jax_keras_model_h5")),
    # TensorFlow checkpoints restored into the same model of Keras 3.15: how many of 16 weights came back
    ("tensorflow-2.1.0/ckpt_adam", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.8.4/ckpt_mirrored", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.15.1/ckpt_adam", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.16.2-tfkeras/ckpt_adam", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.16.2/ckpt_adam", "keras", "3.15.1", {LOSES}),
    ("tensorflow-2.18.1/ckpt_adam", "keras", "3.15.1", set()),
    ("tensorflow-2.21.0/ckpt_adam", "keras", "3.15.1", set()),
    ("tensorflow-2.8.4/keras_weights_tf", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.8.4/saved_model_keras", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.4.1/saved_model_keras", "keras", "3.15.1", {REFUSES}),
    ("tensorflow-2.15.1/keras_weights_h5", "keras", "3.15.1", set()),
    ("tensorflow-2.11.1/keras_weights_h5", "keras", "3.15.1", set()),
    ("tensorflow-1.15.0/keras_weights_h5", "keras", "3.15.1", set()),
]  # fmt: skip


def _file(case: str) -> Path:
    folder = ZOO / case
    found = [
        p
        for p in sorted(folder.rglob("*"))
        if p.suffix in (".keras", ".h5", ".index") and "variables" not in p.parts
    ]
    if found:
        return found[0].with_suffix("") if found[0].suffix == ".index" else found[0]
    return next(folder.rglob("saved_model.pb")).parent


@needs_shared
@pytest.mark.parametrize(
    "case, package, version, expected", TRIED, ids=lambda x: str(x) if isinstance(x, str) else ""
)
def test_what_was_tried_with_other_versions(
    case: str, package: str, version: str, expected: set[str]
) -> None:
    if not (ZOO / case).exists():
        pytest.skip(f"{case} is not there")
    assert said(_file(case), **{package: version}) == expected


@needs_shared
def test_what_the_installed_keras_loads() -> None:
    """One file of each era with the installed keras.models.load_model: does it load, is the optimizer there?"""
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    cases = ["keras-1.2.2/model_h5", "keras-2.3.1/model_h5", "keras-3.0.5/tensorflow_dot_keras_amsgrad_ema",
             "keras-3.8.0/jax_dot_keras_mixed_float16", "keras-3.8.0/jax_keras_model_h5",
             "tensorflow-2.13.1/dot_keras", "tensorflow-2.15.1/dot_keras_amsgrad_ema",
             "tensorflow-2.15.1/keras_model_h5", "tensorflow-2.18.1/dot_keras_sgd_schedule",
             "tensorflow-2.21.0/dot_keras"]  # fmt: skip
    wrong = []
    for case in cases:
        path = _file(case)
        with holdfast.open(path) as catalog:
            slots = sum(s.role == "slot" for s in catalog.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = keras.models.load_model(path)
                got = set() if not slots or _holds(model.optimizer) else {LOSES}
            except Exception:  # noqa: BLE001 - that it raises is the answer
                got = {REFUSES}
        if got != said(path, keras=keras.__version__):
            wrong.append((case, got))
    assert wrong == []


def _holds(optimizer: Any) -> bool:
    """Whether any slot of a loaded optimizer has other values than a fresh one."""
    variables = [np.asarray(v) for v in optimizer.variables]
    return any(v.any() for v in variables if v.ndim > 0)


def test_a_legacy_file_of_the_installed_keras_loses_its_momenta(tmp_path: Path) -> None:
    """And so does every .keras file that is saved from the same model object after it: its compile configuration
    then holds no optimizer."""
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", keras.losses.MeanSquaredError())
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    for name, losses in (("first.keras", set()), ("m.h5", {LOSES}), ("after.keras", {LOSES})):
        model.save(tmp_path / name)
        loaded = keras.models.load_model(tmp_path / name)
        assert (not _holds(loaded.optimizer)) == bool(losses)
        assert said(tmp_path / name, keras=keras.__version__) == losses
    bare = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    bare.save(tmp_path / "bare.h5")
    assert said(tmp_path / "bare.h5", keras=keras.__version__) == set()


# -- Orbax -------------------------------------------------------------------------------------------------------


def test_orbaxs_two_interfaces(tmp_path: Path) -> None:
    """Each reads the other's folders only from the right level."""
    jax = pytest.importorskip("jax")
    ocp = pytest.importorskip("orbax.checkpoint")
    v1 = getattr(ocp, "v1", None) or pytest.skip("this Orbax has no v1 interface")
    tree = {"a": jax.numpy.arange(6.0).reshape(2, 3)}
    v1.save_pytree(tmp_path / "new", tree)
    with ocp.StandardCheckpointer() as writer:
        writer.save(tmp_path / "old", tree)
    with pytest.raises(FileNotFoundError):
        ocp.PyTreeCheckpointer().restore(tmp_path / "new")
    assert np.array_equal(ocp.PyTreeCheckpointer().restore(tmp_path / "new" / "state")["a"], tree["a"])
    assert np.array_equal(v1.load_pytree(tmp_path / "old")["a"], tree["a"])
    with pytest.raises(Exception, match="recognize"):
        v1.load_pytree(tmp_path / "new" / "state")
    for key in ("orbax-v1-folder", "orbax-v0-item", "orbax-old-zarr3"):
        assert fact(key).source


@needs_shared
def test_orbax_arrays_of_old_zarr3() -> None:
    ocp = pytest.importorskip("orbax.checkpoint")
    v1 = getattr(ocp, "v1", None) or pytest.skip("this Orbax has no v1 interface")
    path = ZOO / "orbax-0.5.20" / "pytree_zarr3" / "ck"
    if not path.exists():
        pytest.skip("the file is not there")
    assert ocp.PyTreeCheckpointer().restore(path)
    with pytest.raises(Exception, match="reading array"):
        v1.load_pytree(path)
