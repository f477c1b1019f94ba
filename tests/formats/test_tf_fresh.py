"""Checkpoints written at once by the installed TensorFlow, compared with what its own reader gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from holdfast._core.catalog import Catalog  # noqa: E402
from holdfast._formats.registry import recognise  # noqa: E402
from holdfast._storage import open_local  # noqa: E402


def opened(path: Path | str) -> Catalog:
    source, store, _ = open_local(path)
    form = recognise(source)
    assert form is not None
    catalog = form.read(source, store)
    assert not catalog.faults
    assert not [fault for check in catalog.checks() if (fault := check.run(lambda count: None))]
    return catalog


def same_as_tensorflow(prefix: str) -> Catalog:
    catalog = opened(f"{prefix}.index")
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    assert {spec.key for spec in catalog.values()} == set(shapes)
    for spec in catalog.values():
        assert list(spec.shape) == shapes[spec.key]
        if spec.dtype == "variant":
            continue
        value = np.asarray(reader.get_tensor(spec.key))
        got = catalog.read(spec.name)
        if spec.dtype == "string":
            assert np.array_equal(got, np.asarray(value, object))
        else:
            assert got.tobytes() == value.tobytes() and got.shape == value.shape, spec.name
    return catalog


def trained(optimizer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(5, name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Dense(2, name="second"),
        ]
    )
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(np.ones((8, 4), "float32"), np.zeros((8, 2), "float32"), epochs=2, batch_size=4, verbose=0)
    return model


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("Adam", {"momentum", "velocity"}),
        ("RMSprop", {"velocity"}),
        ("Adagrad", {"accumulator"}),
        ("Ftrl", {"accumulator", "linear"}),
        ("Lion", {"momentum"}),
        ("Nadam", {"momentum", "velocity"}),
        ("Adadelta", {"accumulated_grad", "accumulated_delta_var"}),
    ],
)
def test_model_and_optimizer(tmp_path, name, slots):
    model = trained(getattr(keras.optimizers, name)(0.02))
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer, step=tf.Variable(7)).save(
        tmp_path / "ckpt"
    )
    catalog = same_as_tensorflow(path)
    for variable in model.weights:
        if "seed" not in variable.path:
            assert np.array_equal(catalog.read(variable.path), variable.numpy())
    for variable in model.trainable_variables:
        owned = {
            spec.slot for spec in catalog.values() if spec.role == "slot" and spec.owner == variable.path
        }
        assert owned == slots
        assert catalog[variable.path].trainable
    assert catalog[model.get_layer("norm").moving_mean.path].role == "buffer"
    (optimizer,) = catalog.optimizers
    assert (optimizer.class_likely, optimizer.step, set(optimizer.slots)) == (name, 4, slots)
    assert optimizer.learning_rate == pytest.approx(0.02)
    assert catalog.attributes["save_counter"] == 1 and catalog.attributes["step"] == 7
    assert optimizer.groups[0].owners == tuple(v.path for v in model.trainable_variables)


def test_averages_and_accumulated_gradients(tmp_path):
    model = trained(keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True, gradient_accumulation_steps=2))
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(tmp_path / "ckpt")
    catalog = same_as_tensorflow(path)
    for role in ("average", "gradient", "slot"):
        owners = {spec.owner for spec in catalog.values() if spec.role == role}
        assert owners == {v.path for v in model.trainable_variables}, role


def test_sharded_and_cut_up(tmp_path):
    model = trained("adam")
    options = tf.train.CheckpointOptions(
        experimental_sharding_callback=tf.train.experimental.MaxShardSizePolicy(max_shard_size=100)
    )
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "ckpt"), options=options)
    catalog = same_as_tensorflow(path)
    assert catalog.attributes["num_shards"] > 2


def test_dtypes_strings_and_state(tmp_path):
    import ml_dtypes

    module = tf.Module()
    values = {
        "bf16": np.arange(6).astype(ml_dtypes.bfloat16).reshape(2, 3),
        "f8": np.arange(4).astype(ml_dtypes.float8_e4m3fn),
        "f16": np.array([1, np.inf, -0.0], np.float16),
        "i4": np.array([-8, 7, 3], ml_dtypes.int4),
        "u64": np.array([2**64 - 1], np.uint64),
        "c128": np.array(1 + 2j),
        "flag": np.array([[True], [False]]),
        "none": np.zeros((3, 0), np.float64),
    }
    for name, value in values.items():
        setattr(module, name, tf.Variable(value))
    module.texts = tf.Variable([b"", b"a\0b", "ä".encode(), b"x" * 300])
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    module.table.insert([b"k"], [5])
    iterator = iter(tf.data.Dataset.range(9).shuffle(3))
    next(iterator)
    path = tf.train.Checkpoint(m=module, it=iterator).write(str(tmp_path / "d"))
    catalog = same_as_tensorflow(path)
    for name, value in values.items():
        got = catalog.read(f"m/{name}")
        assert got.dtype == value.dtype and got.tobytes() == value.tobytes()
    assert catalog.read("m/texts").tolist() == [b"", b"a\0b", "ä".encode(), b"x" * 300]
    (position,) = [spec for spec in catalog.values() if spec.role == "data-position"]
    if position.dtype == "variant":
        assert all(isinstance(item, bytes) for item in catalog.read(position.name).reshape(-1))


def test_saver(tmp_path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(3), use_resource=True):
            table = v1.get_variable("emb", (7, 2))
        weight = v1.get_variable("w", (2, 2), use_resource=True)
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_sum(tf.matmul(tf.convert_to_tensor(table), weight) ** 2)
        train = v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)
        session.run(v1.global_variables_initializer())
        session.run(train)
        path = v1.train.Saver(sharded=True).save(session, str(tmp_path / "model.ckpt"), global_step=5)
    catalog = same_as_tensorflow(path)
    assert catalog["w/Adam"].owner == "w" and (catalog["w/Adam"].slot, catalog["w/Adam_1"].slot) == ("m", "v")
    assert catalog["net/emb/Adam"].owner == "net/emb" and len(catalog["net/emb"].stored) == 3
    assert catalog["beta1_power"].role == "counter" and catalog.attributes["step"] == 1
    (optimizer,) = catalog.optimizers
    assert (optimizer.class_likely, optimizer.slots, optimizer.step) == ("Adam", ("m", "v"), 1)


def test_saved_model(tmp_path):
    model = trained("adam")
    model.export(str(tmp_path / "sm"), verbose=False)
    catalog = opened(tmp_path / "sm" / "saved_model.pb")
    assert catalog.format == "savedmodel" and catalog.attributes["tensorflow_version"] == tf.__version__
    for variable in model.weights:
        if "seed" not in variable.path:
            assert np.array_equal(catalog.read(variable.path), variable.numpy())
