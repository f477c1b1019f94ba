"""The verified read into real live tensors: PyTorch's memory, and memory that TensorFlow takes over."""

from __future__ import annotations

import os

import numpy as np
import pytest

from holdfast._core.errors import ChecksumMismatch
from holdfast._frameworks.live import Variable
from holdfast._restore.reading import Transfer, live_checksum
from restore.live_arrays import opened, restore

SHAPES = ((), (1,), (3,), (17,), (0, 4), (64, 64), (1000, 1100), (1200, 1000), (1100, 1000))


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"w{n}": np.asarray(rng.standard_normal(shape), np.float32) for n, shape in enumerate(SHAPES)}


def test_torch_parameters_stay_the_same_objects(tmp_path):
    torch = pytest.importorskip("torch")
    saved = {name: torch.from_numpy(value.copy()) for name, value in arrays(1).items()}
    saved["half"] = torch.randn(300, 7).to(torch.bfloat16)
    torch.save(saved, tmp_path / "m.pt")
    live = {name: torch.nn.Parameter(torch.zeros_like(value)) for name, value in saved.items()}
    where = {name: value.data_ptr() for name, value in live.items()}

    def memory(tensor):
        import ml_dtypes

        if tensor.dtype == torch.bfloat16:
            return tensor.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.detach().numpy()

    with opened(tmp_path / "m.pt") as (catalog, target):
        items = [
            Transfer(n, n, Variable(catalog[n], lambda t=t: memory(t), None, lambda t=t: memory(t)))
            for n, t in live.items()
        ]
        done = restore(catalog, target, items)
        assert done.proof == "checksums"
    for name, tensor in live.items():
        assert torch.equal(tensor.detach(), saved[name])
        assert tensor.data_ptr() == where[name]


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def variables_of(catalog, live, fresh):
    """The live ``tf.Variable`` objects by the stored names."""
    names = {
        f"w{n}": next(name for name in catalog if name.split("/")[0] == f"w{n}") for n in range(len(SHAPES))
    }
    return {
        names[word]: Variable(
            catalog[names[word]],
            variable.numpy,
            lambda values, v=variable: v.assign(values),
            fresh=(lambda v=variable: fresh(v)) if fresh else (lambda: None),
        )
        for word, variable in live.items()
    }


@pytest.mark.parametrize("way", ["fresh", "assign"])
@pytest.mark.parametrize("sealed", [False, True], ids=["bare", "sealed"])
def test_tensorflow_variables(tf, way, sealed, tmp_path):
    """Values are right once everything is over, though scratch is used again and again: nothing shares it."""
    from holdfast._frameworks.tensorflow.fresh import fresh

    values = arrays(2)
    prefix = tf.train.Checkpoint(**{n: tf.Variable(v) for n, v in values.items()}).write(
        os.fspath(tmp_path / "ck")
    )
    live = {name: tf.Variable(tf.fill(value.shape, -1.0)) for name, value in values.items()}
    held = {name: variable.read_value() for name, variable in live.items()}
    with opened(tmp_path / "ck", sealed=sealed) as (catalog, target):
        told: list[str] = []
        made = variables_of(catalog, live, fresh if way == "fresh" else None)
        items = [Transfer(n, n, v) for n, v in made.items()]
        done = restore(catalog, target, items, before=lambda t: told.append(t.name))
        assert done.proof == ("sealed" if sealed else "checksums")
        assert sorted(told) == sorted(made)
        assert all(done.checksums[n] == live_checksum(v) for n, v in made.items())
    assert prefix.endswith("ck")
    for name, variable in live.items():
        assert np.array_equal(variable.numpy(), values[name])
        assert np.all(held[name].numpy() == -1), "a value that was read before has changed"
    for (
        name,
        variable,
    ) in live.items():  # training goes on: in-place updates, after which others are what they were
        variable.assign_add(tf.ones_like(variable))
        assert np.array_equal(variable.numpy(), values[name] + np.float32(1))


@pytest.mark.parametrize("way", ["fresh", "assign"])
def test_a_damaged_tensor_never_reaches_a_tensorflow_variable(tf, way, tmp_path):
    from holdfast._frameworks.tensorflow.fresh import fresh

    values = arrays(3)
    tf.train.Checkpoint(**{n: tf.Variable(v) for n, v in values.items()}).write(os.fspath(tmp_path / "ck"))
    live = {name: tf.Variable(tf.fill(value.shape, -1.0)) for name, value in values.items()}
    with opened(tmp_path / "ck") as (catalog, target):
        made = variables_of(catalog, live, fresh if way == "fresh" else None)
        name = next(n for n in made if n.startswith("w7"))
        run = catalog[name].stored[0]
        with open(run.file, "r+b") as file:
            file.seek(run.offset + 77_777)
            byte = file.read(1)[0]
            file.seek(run.offset + 77_777)
            file.write(bytes([byte ^ 1]))
        told: list[str] = []
        with pytest.raises(ChecksumMismatch) as caught:
            restore(
                catalog,
                target,
                [Transfer(n, n, v) for n, v in made.items()],
                before=lambda t: told.append(t.name),
            )
        assert caught.value.tensor == name and caught.value.offset == run.offset
        assert name not in told
    assert np.all(live["w7"].numpy() == -1)
    changed = {n for n, v in made.items() if v.spec.nbytes and not np.all(v.read() == -1)}
    assert changed <= set(told)


def test_fresh_memory_is_refused_where_it_cannot_be(tf):
    from holdfast._frameworks.tensorflow.fresh import fresh

    assert fresh(tf.Variable(["a", "b"])) is None
    array, commit = fresh(tf.Variable(tf.zeros((3, 5), tf.bfloat16)))
    assert array.shape == (3, 5) and array.dtype.name == "bfloat16" and array.flags.writeable
    del array, commit  # never committed: nothing happens

    @tf.function
    def traced(x):
        assert fresh(variable) is None
        return x

    variable = tf.Variable(1.0)
    traced(tf.constant(1.0))
