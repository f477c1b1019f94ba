"""Facts on versions that hold whatever the reader is: what doctor says of a file alone.

Each row says what it holds for and where it comes from; rules of family E quote ``text`` and ``remedy``.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["VersionFact", "VERSIONS", "fact"]


class VersionFact(NamedTuple):
    """A fact: a key, what is so, what to do, and the source that says it."""

    key: str
    text: str
    remedy: str
    source: str


_ROWS = (
    VersionFact(
        "weights-only-default",
        "torch.load takes weights_only=True by default since PyTorch 2.6 and refuses every global "
        "outside a short list",
        "torch.serialization.add_safe_globals([...]) for classes you trust, or weights_only=False if you "
        "trust the whole file",
        "torch/serialization.py (load), release notes of 2.6",
    ),
    VersionFact(
        "weights-only-protocol",
        "the weights-only unpickler of PyTorch knows the opcodes of pickle protocol 2 only; files of "
        "protocol 4 and 5 fail there",
        "load once with weights_only=False where you trust the file, and save it again with the default "
        "pickle_protocol",
        "torch/_weights_only_unpickler.py (load)",
    ),
    VersionFact(
        "mmap-container",
        "torch.load(mmap=True) takes the zip container only, and PyTorch 2.1 or newer",
        "save again with the default container; holdfast maps both",
        "torch/serialization.py (load)",
    ),
    VersionFact(
        "numpy-core",
        "pickles written under numpy 2 name numpy._core, which numpy before 1.26 does not have",
        'pip install "numpy>=1.26" to load it',
        "numpy 1.26 and 2.0 release notes; numpy/_core stubs",
    ),
    VersionFact(
        "orbax-v1-folder",
        "Orbax's first interface (PyTreeCheckpointer, StandardCheckpointer) raises FileNotFoundError on the folder of an "
        "Orbax v1 checkpoint, whose arrays lie in state/",
        "orbax.checkpoint.v1.load_pytree(path), or the first interface on path/state",
        "orbax/checkpoint/experimental/v1; tried with Orbax 0.12.8 on its own files",
    ),
    VersionFact(
        "orbax-v0-item",
        "Orbax v1 raises InvalidLayoutError on the item folder (default/, state/) of a managed checkpoint; it wants the "
        "step's folder",
        "orbax.checkpoint.v1.load_pytree(step folder), or the first interface on the item folder",
        "orbax/checkpoint/experimental/v1; tried with Orbax 0.12.8 on files of 0.11.5 and 0.12.8",
    ),
    VersionFact(
        "orbax-old-zarr3",
        "Orbax v1 raises while reading arrays that Orbax before 0.6 wrote as zarr v3, which the first interface reads",
        "orbax.checkpoint.PyTreeCheckpointer().restore(path), and save again",
        "tried with Orbax 0.12.8 on files of 0.4.8 and 0.5.20",
    ),
    VersionFact(
        "keras3-savedmodel",
        "Keras 3 loads no SavedModel folders; it takes .keras and legacy .h5 files",
        "keras.layers.TFSMLayer(path, call_endpoint='serving_default') for inference, "
        "tf.saved_model.load, or Keras 2 "
        "(pip install tf_keras; TF_USE_LEGACY_KERAS=1)",
        "keras/src/saving/saving_api.py (load_model)",
    ),
    VersionFact(
        "keras3-tf-weights",
        "Keras 3's load_weights takes .weights.h5, .h5 and .keras; a checkpoint in TensorFlow format is "
        "refused",
        "tf.train.Checkpoint(model=model).restore(prefix) where the object paths agree, or load with "
        "tf_keras and save "
        "as .weights.h5",
        "keras/src/saving/saving_api.py (load_weights)",
    ),
    VersionFact(
        "keras1",
        "written by Keras 1: weight names and kernel layouts differ, and Keras 3 no longer converts them",
        "load with Keras 2 (pip install tf_keras; TF_USE_LEGACY_KERAS=1), which converts Keras 1 files, "
        "and save again",
        "keras/src/legacy/saving/legacy_h5_format.py against tf_keras/src/saving/legacy/hdf5_format.py",
    ),
)

VERSIONS: dict[str, VersionFact] = {row.key: row for row in _ROWS}


def fact(key: str) -> VersionFact:
    """The fact of that key; raises ``KeyError``."""
    return VERSIONS[key]
