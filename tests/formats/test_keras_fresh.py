"""Files that the installed Keras writes now: every variable by its own path, every slot with its owner."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
keras = pytest.importorskip("keras", minversion="3.4")

from .keras_cases import opened  # noqa: E402

L = keras.layers


def functional():
    """Layers whose variables lie in many ways: cells, wrappers, projections, options that drop variables."""
    image = keras.Input((8, 8, 2), name="image")
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    x = L.SeparableConv2D(4, 3, name="sep")(image)
    x = L.BatchNormalization(scale=False, name="bn")(x)
    x = L.DepthwiseConv2D(3, use_bias=False, name="dw")(x)
    x = L.Conv2DTranspose(3, 2, name="up")(x)
    x = L.GlobalAveragePooling2D()(x)
    y = L.Embedding(11, 6, name="emb")(tokens)
    y = L.MultiHeadAttention(2, 3, name="mha")(y, y)
    y = L.LayerNormalization(name="ln")(y)
    y = L.Bidirectional(L.GRU(3, return_sequences=True), name="both")(y)
    y = L.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d", name="ein")(y)
    y = L.TimeDistributed(L.Dense(3, name="each"), name="td")(y)
    y = L.LSTM(3, use_bias=False, name="lstm")(y)
    frozen = L.Dense(3, name="frozen", trainable=False)(y)
    inner = keras.Sequential([keras.Input((6,)), L.Dense(4), L.PReLU()], name="inner")
    z = inner(L.Concatenate()([x, frozen]))
    return keras.Model([image, tokens], L.Dense(2, name="head")(z), name="fresh")


def train(model, optimizer):
    rng = np.random.default_rng(0)
    optimizer.build(model.trainable_variables)
    for variable in (*model.variables, *optimizer.variables):
        if variable.ndim and str(variable.dtype).startswith("float"):
            variable.assign(rng.normal(size=variable.shape).astype("float32"))
    model.compile(optimizer=optimizer, loss="mse")
    return model


def check(path, model, *, owners: bool = True, lost: tuple[str, ...] = ()):
    """All variables under their own names with their own values, and nothing else; slots with owners."""
    with opened(path) as catalog:
        expected = {v.path: v for v in model.variables if "seed_generator" not in v.path}
        expected.update(
            {f"optimizer/{v.path}": v for v in model.optimizer.variables} if model.optimizer else {}
        )
        for name in lost:
            expected = {
                n: v for n, v in expected.items() if name not in n and name.replace("/", "_") not in n
            }
        missing = [n for n in expected if n not in catalog]
        assert not missing, (missing, sorted(catalog))
        for name, variable in expected.items():
            array = catalog.read(name)
            want = np.asarray(keras.ops.convert_to_numpy(variable))
            assert array.shape == want.shape and array.tobytes() == want.tobytes(), name
        assert len({catalog[n].key for n in expected}) == len(expected)
        if owners:
            for spec in catalog.values():
                if spec.role in ("slot", "average"):
                    assert spec.owner is not None, spec
                    assert catalog[spec.owner].trainable is not False
        assert not [f for f in catalog.faults if f.slug != "custom-object"]
        return catalog


OPTIMIZERS = [
    keras.optimizers.SGD(0.1, momentum=0.9),
    keras.optimizers.SGD(0.1),
    keras.optimizers.Adam(1e-3, amsgrad=True),
    keras.optimizers.AdamW(1e-3, use_ema=True),
    keras.optimizers.Nadam(),
    keras.optimizers.Adamax(),
    keras.optimizers.Adagrad(),
    keras.optimizers.Adadelta(),
    keras.optimizers.RMSprop(momentum=0.5, centered=True),
    keras.optimizers.Ftrl(),
    keras.optimizers.Lion(),
    keras.optimizers.Lamb(),
    keras.optimizers.Muon(),
    keras.optimizers.Adam(gradient_accumulation_steps=2),
    keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)),
]


def small():
    return keras.Sequential(
        [keras.Input((3,)), L.Dense(4, name="a"), L.Dense(4, name="b"), L.Dense(1, name="c")], name="s"
    )


@pytest.mark.parametrize(
    "index", range(len(OPTIMIZERS)), ids=lambda i: f"{i}-{OPTIMIZERS[i].__class__.__name__}"
)
def test_every_optimizer(tmp_path, index):
    keras.backend.clear_session()  # Keras counts the names of variables on through a whole process
    model = train(small(), OPTIMIZERS[index])
    path = tmp_path / "m.keras"
    model.save(path)
    catalog = check(path, model)
    told = catalog.optimizers[0]
    assert told.class_name == OPTIMIZERS[index].__class__.__name__
    assert told.step == 0


@pytest.mark.parametrize("ending", ["keras", "weights.h5", "h5"])
def test_functional(tmp_path, ending):
    model = train(functional(), keras.optimizers.Adam(2e-3))
    path = tmp_path / f"m.{ending}"
    (model.save_weights if ending == "weights.h5" else model.save)(path)
    lost = ("bn/beta",) if ending == "weights.h5" else ()  # gamma or beta: three vectors do not tell which
    catalog = check(path, model, lost=lost)
    roles = {name: catalog[name].role for name in catalog}
    assert roles["bn/moving_mean"] == roles["bn/moving_variance"] == "buffer"
    assert catalog["mha/query/kernel"].shape == (6, 2, 3)
    told = catalog.optimizers[0]
    assert told.learning_rate == pytest.approx(2e-3)
    assert catalog.attributes["writer"].startswith("Keras 3")
    if ending != "weights.h5":
        assert catalog.attributes["keras_version"] == keras.__version__
        assert catalog["frozen/kernel"].trainable is False
        assert told.class_name == "Adam" and told.groups[0].configured["beta_1"] == 0.9
    else:
        assert told.class_name is None and told.class_likely == "Adam"
    order = [
        s.name for s in sorted((s for s in catalog.values() if s.order is not None), key=lambda s: s.order)
    ]
    own = [v.path for v in model.variables]
    assert [n.replace("bn/vars/0", "bn/beta") for n in order] == [n for n in own if "seed" not in n]


@keras.saving.register_keras_serializable(package="zoo")
class Net(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder = L.Dense(4, name="enc")
        self.blocks = [L.Dense(4), L.Dense(4)]
        self.norm = L.LayerNormalization(name="norm")
        self.tail = keras.Sequential([L.Dense(3, name="t0"), L.Dense(1, name="t1")], name="tail")

    def call(self, x):
        x = self.encoder(x)
        for block in self.blocks:
            x = block(x)
        return self.tail(self.norm(x))


def test_subclassed(tmp_path):
    model = Net(name="net")
    model(np.zeros((1, 3), "float32"))
    train(model, keras.optimizers.SGD(0.1, momentum=0.9))
    path = tmp_path / "m.keras"
    model.save(path)
    catalog = check(path, model, owners=False)
    assert any(f.slug == "custom-object" and "Net" in str(f.seen) for f in catalog.faults)
    for spec in catalog.values():
        if spec.role == "slot" and spec.owner is None:
            assert spec.attributes["owner_unproved"]


def test_folder_that_was_not_zipped(tmp_path):
    model = train(small(), keras.optimizers.Adam())
    model.save(tmp_path / "m", zipped=False)
    catalog = check(tmp_path / "m" / "model.weights.h5", model)
    assert catalog.format == "keras-archive" and len(catalog.files) == 3


def test_sharded(tmp_path):
    model = train(small(), keras.optimizers.Adam())
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=1e-7)
    catalog = check(tmp_path / "m.weights.json", model)
    assert len(catalog.files) > 3


def test_lambda_layer_is_told_and_not_run(tmp_path):
    ran = tmp_path / "ran"
    model = keras.Sequential(
        [keras.Input((3,)), L.Lambda(lambda x: x * 2, output_shape=(3,), name="twice"), L.Dense(1)]
    )
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    for name in ("m.keras", "m.h5"):
        with opened(tmp_path / name) as catalog:
            assert [f.seen for f in catalog.faults if f.slug == "lambda-layer"][:1] == ["twice"]
            assert len(catalog) == 2
    assert not ran.exists()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16", "float64"])
def test_precision_policies(tmp_path, policy):
    model = keras.Sequential(
        [keras.Input((3,)), L.Dense(4, dtype=policy), L.Dense(1, dtype="float32")], name="p"
    )
    model.save(tmp_path / "m.keras")
    with opened(tmp_path / "m.keras") as catalog:
        for variable in model.variables:
            want = np.asarray(keras.ops.convert_to_numpy(variable))
            assert catalog[variable.path].dtype == str(want.dtype)
            assert catalog.read(variable.path).tobytes() == want.tobytes()


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantised(tmp_path, mode):
    model = keras.Sequential(
        [keras.Input((4,)), L.Dense(6, name="q"), L.EinsumDense("ab,bc->ac", 4, name="e")], name="z"
    )
    model.quantize(mode)
    model.save(tmp_path / "m.keras")
    with opened(tmp_path / "m.keras") as catalog:
        for variable in model.variables:
            want = np.asarray(keras.ops.convert_to_numpy(variable))
            assert variable.path in catalog, (variable.path, sorted(catalog))
            if catalog.read(variable.path).shape == want.shape:
                assert catalog.read(variable.path).tobytes() == want.tobytes(), variable.path
