"""Errors that Keras, TensorFlow, Orbax and flax raise here, each made on the spot; see ``live_torch``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .live_torch import Scene

__all__ = ["SCENES"]


def net(width: int = 8, depth: int = 1, classes: int = 3) -> keras.Model:
    layers = [
        keras.Input((4,)),
        *(keras.layers.Dense(width) for _ in range(depth)),
        keras.layers.Dense(classes),
    ]
    return keras.Sequential(layers)


def _weights(model: Callable[[], keras.Model]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "m.weights.h5"
        model().save_weights(path)
        return path

    return make


def _load_weights(model: Callable[[], keras.Model]) -> Callable[[Path], object]:
    return lambda folder: model().load_weights(folder / "m.weights.h5")


def _together(optimizer: Callable[[], Any]) -> tf.train.Checkpoint:
    model, steps = net(), optimizer()
    steps.build(model.trainable_variables)
    return tf.train.Checkpoint(model=model, optimizer=steps)


def _trained(optimizer: Callable[[], Any]) -> Callable[[Path], Path]:
    return lambda folder: Path(_together(optimizer).write(str(folder / "ck")))


def _resumed(optimizer: Callable[[], Any]) -> Callable[[Path], object]:
    return lambda folder: _together(optimizer).read(str(folder / "ck"))


def _momentum() -> Any:
    return keras.optimizers.SGD(momentum=0.9, name="sgd_1")  # as Keras calls the second one of a program


def _cut(make: Callable[[Path], Path], share: float = 0.5) -> Callable[[Path], Path]:
    def cut(folder: Path) -> Path:
        path = make(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return cut


def _archive(folder: Path) -> Path:
    net().save(folder / "m.keras")
    return folder / "m.keras"


@keras.saving.register_keras_serializable(package="scene")
class Own(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


def _unknown(folder: Path) -> Path:
    model = keras.Sequential([keras.Input((4,)), Own(), keras.layers.Dense(2)])
    model.save(folder / "m.keras")
    return folder / "m.keras"


def _load_unknown(folder: Path) -> object:
    keras.saving.get_custom_objects().pop("scene>Own", None)
    try:
        return keras.models.load_model(folder / "m.keras")
    finally:
        keras.saving.get_custom_objects()["scene>Own"] = Own


def _lfs(folder: Path) -> Path:
    path = folder / "m.weights.h5"
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 9\n")
    return path


def _prefix(folder: Path, shape: tuple[int, ...] = (3, 2), name: str = "ck") -> Path:
    checkpoint = tf.train.Checkpoint(w=tf.Variable(np.ones(shape, "f4")), b=tf.Variable(np.arange(5000.0)))
    return Path(checkpoint.write(str(folder / name)))


def _index(folder: Path) -> Path:
    prefix = _prefix(folder)
    path = Path(f"{prefix}.index")
    path.write_bytes(path.read_bytes()[:20])
    return prefix


def _data(folder: Path) -> Path:
    prefix = _prefix(folder)
    path = Path(f"{prefix}.data-00000-of-00001")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    return prefix


def _mixed(folder: Path) -> Path:
    prefix, other = _prefix(folder), _prefix(folder, (3, 2), "other")
    tf.train.Checkpoint(w=tf.Variable(np.zeros((3, 2), "f4")), b=tf.Variable(np.arange(5000.0) * 2)).write(
        str(other)
    )
    shutil.copy(f"{other}.data-00000-of-00001", f"{prefix}.data-00000-of-00001")
    return prefix


def _read(**other: Any) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        given = other or {"w": tf.Variable(np.zeros((3, 2), "f4")), "b": tf.Variable(np.zeros(5000))}
        return tf.train.Checkpoint(**{k: v() if callable(v) else v for k, v in given.items()}).read(
            str(folder / "ck")
        )

    return read


def _all_bound(folder: Path) -> object:
    return _read(other=lambda: tf.Variable(np.zeros(3)))(folder).assert_existing_objects_matched()  # type: ignore[attr-defined]


def _none(folder: Path) -> None:
    return None


def _tf1(path: str) -> Callable[[Path], object]:
    def restore(folder: Path) -> object:
        return tf.train.load_checkpoint(str(folder / path)).get_tensor("x")

    return restore


def _orbax(folder: Path) -> Path:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as saver:
        saver.save((folder / "o").absolute(), {"a": np.ones(3), "b": np.zeros(2)})
    return folder / "o"


def _orbax_restore(name: str, target: Any = None) -> Callable[[Path], object]:
    def restore(folder: Path) -> object:
        import orbax.checkpoint as ocp

        with ocp.StandardCheckpointer() as saver:
            return saver.restore((folder / name).absolute(), target)

    return restore


def _msgpack(folder: Path) -> Path:
    from flax.serialization import to_bytes

    path = folder / "m.msgpack"
    data = to_bytes({"a": np.ones(300)})
    path.write_bytes(data[: len(data) // 2])
    return path


def _from_bytes(folder: Path) -> object:
    from flax.serialization import from_bytes

    return from_bytes({"a": np.ones(300)}, (folder / "m.msgpack").read_bytes())


def _subclassed() -> keras.Model:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = keras.layers.Dense(8), keras.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.last(self.first(x))

    return Net()


SCENES = (
    Scene(
        "weights of another model",
        "shape-mismatch",
        _weights(lambda: net(depth=1)),
        _load_weights(lambda: net(depth=2)),
    ),
    Scene(
        "weights of a deeper model",
        "shape-mismatch",
        _weights(lambda: net(depth=3)),
        _load_weights(lambda: net(depth=1)),
    ),
    Scene("weights of another width", "shape-mismatch", _weights(lambda: net(16)), _load_weights(net)),
    Scene("unbuilt model", "lazy-build", _weights(net), _load_weights(_subclassed)),
    Scene("file cut", "corrupt", _cut(_weights(net)), _load_weights(net), True),
    Scene(
        "keras archive cut",
        "corrupt",
        _cut(_archive),
        lambda folder: keras.models.load_model(folder / "m.keras"),
        True,
    ),
    Scene("LFS pointer for h5", "corrupt", _lfs, _load_weights(net), True),
    Scene("no such weights", "not-found", _none, lambda folder: net().load_weights(folder / "m.weights.h5")),
    Scene(
        "weights only loaded as a model",
        "format-mismatch",
        _weights(net),
        lambda folder: keras.models.load_model(folder / "m.weights.h5"),
    ),
    Scene("unknown layer", "custom-object", _unknown, _load_unknown),
    Scene("wrong ending", "format-mismatch", _none, lambda folder: net().save_weights(folder / "m.hdf5")),
    Scene(
        "SavedModel folder",
        "version-mismatch",
        _none,
        lambda folder: (net().export(folder / "sm", verbose=False), keras.models.load_model(folder / "sm")),
    ),
    Scene(
        "no config",
        "unserialisable",
        _none,
        lambda folder: keras.Sequential([keras.Input((4,)), _NoConfig(np.ones(3))]).save(folder / "m.keras"),
    ),
    Scene(
        "set_weights before build",
        "lazy-build",
        _none,
        lambda folder: keras.optimizers.Adam().set_weights([np.zeros(3)] * 5),
    ),
    Scene(
        "tf prefix that is not there",
        "not-found",
        _prefix,
        lambda folder: tf.train.load_checkpoint(str(folder / "ck-100")),
    ),
    Scene("tf index cut", "corrupt", _index, _read(), True),
    Scene("tf data cut", "corrupt", _data, _read(), True),
    Scene("tf data of another save", "concurrency", _mixed, _read(), True),
    Scene("tf name that is not there", "missing-tensor", _prefix, _tf1("ck"), True),
    Scene(
        "tf checkpoint state file",
        "format-mismatch",
        lambda folder: (
            tf.train.Checkpoint(w=tf.Variable(1.0)).save(str(folder / "x")),
            folder / "checkpoint",
        )[1],
        _tf1("checkpoint"),
    ),
    Scene("tf other objects", "missing-tensor", _prefix, _all_bound),
    Scene("tf other shape", "shape-mismatch", _prefix, _read(w=lambda: tf.Variable(np.zeros((5, 2), "f4")))),
    Scene(
        "tf another optimizer", "optimizer-structure", _trained(keras.optimizers.Adam), _resumed(_momentum)
    ),
    Scene("orbax nothing there", "not-found", _none, _orbax_restore("nothing")),
    Scene(
        "orbax other tree", "missing-tensor", _orbax, _orbax_restore("o", {"a": np.ones(3), "c": np.zeros(2)})
    ),
    Scene("flax msgpack cut", "corrupt", _msgpack, _from_bytes),
)


class _NoConfig(keras.layers.Layer):
    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.table = table

    def call(self, x: Any) -> Any:
        return x
