"""Keras' and TensorFlow's files under other versions of Keras and TensorFlow.

What loads where was tried with Keras 3.3.3, 3.8.0, 3.10.0 and 3.15 and tf_keras 2.21 on files of Keras 1.2 to 3.15
and TensorFlow 1.4 to 2.21; the borders in between come from the releases' sources (named in each row).
"""

from __future__ import annotations

from .need import Need

__all__ = ["KERAS_NEEDS"]

_ARCHIVE = ("keras-archive",)
_H5 = ("keras-h5-legacy",)
_BUNDLE = ("tf-bundle",)
_WEIGHTS = ("keras-archive", "keras-weights-h5", "keras-weights-sharded")
_KERAS, _BOTH = ("keras",), ("keras", "tf_keras")
_CODE = (
    "Build the model in code and call load_weights on this file, or let holdfast restore it into the model."
)
_KERAS2 = "Load it with Keras 2 (pip install tf_keras; TF_USE_LEGACY_KERAS=1), or let holdfast restore it into the model."

KERAS_NEEDS: tuple[Need, ...] = (
    # -- whole models ----------------------------------------------------------------------------------------------
    Need(
        "keras1-h5", _H5, "", "<2", _BOTH, ">=2.16", "does-not-load",
        "does not load files of Keras 1: layer configurations are of another form, and gates of recurrent layers lie "
        "in tensors of their own",
        "Load it with Keras 2.0 to 2.3, which convert Keras 1 files, and save again; or let holdfast restore it.",
        "keras/src/legacy/saving/legacy_h5_format.py; tried with Keras 3.3.3 to 3.15 and tf_keras 2.21",
    ),
    Need(
        "keras2-h5-recurrent", _H5, "recurrent", ">=2,<3", _KERAS, ">=3", "does-not-load",
        "load_model raises on the configuration of recurrent layers that Keras 2 wrote (time_major, old initialisers)",
        _CODE, "keras/src/layers/rnn/lstm.py; tried with Keras 3.3.3 to 3.15",
    ),
    Need(
        "h5-optimizer", _H5, "slots", "", _KERAS, ">=3", "loads-with-losses",
        "load_model brings the iteration count and learning rate of a legacy .h5 file back and leaves every momentum at "
        "zero, without a word",
        "Let holdfast restore it into the built model and optimizer, or save as .keras with the writing version.",
        "keras/src/legacy/saving/legacy_h5_format.py (load_model_from_hdf5); tried with Keras 3.8 to 3.15",
        "the optimizer's slots",
    ),
    Need(
        "keras3-h5-in-keras2", _H5, "model-config", ">=3", _BOTH, "<3", "does-not-load",
        "load_model raises on the configuration that Keras 3 wrote (InputLayer batch_shape)",
        _CODE, "tried with tf_keras 2.21",
    ),
    Need(
        "keras2-archive", _ARCHIVE, "functional", ">=2,<3", _KERAS, ">=3", "does-not-load",
        "load_model raises on .keras files of Keras 2: their classes lie in keras.src.engine, which is gone",
        _CODE, "keras/src/saving/serialization_lib.py; tried with Keras 3.3.3 to 3.15",
    ),
    Need(
        "first-archive-keys", _ARCHIVE, "old-archive-keys", "", _BOTH, ">=2.14", "does-not-load",
        "does not find weights under `_layer_checkpoint_dependencies/`, the keys of Keras 2.12 and 2.13",
        "Load it with Keras 2.13, or let holdfast restore it into the model.",
        "keras/src/saving/saving_lib.py of 2.13 and 2.14; tried with tf_keras 2.21 and Keras 3.15",
    ),
    Need(
        "keras3-archive-in-keras2", _ARCHIVE, "", ">=3", _BOTH, "<3", "does-not-load",
        "load_model raises on .keras files of Keras 3 (keras.src.models, InputLayer batch_shape)",
        "Install Keras 3, or let holdfast restore it into the model.", "tried with tf_keras 2.21",
    ),
    Need(
        "quantization-config", (*_ARCHIVE, *_H5), "kernels", ">=3.13", _KERAS, ">=3,<3.13", "does-not-load",
        "load_model raises: since 3.13 the configuration of dense, convolution and embedding layers has a field "
        "(quantization_config) that older Keras does not take",
        'pip install "keras>=3.13", or build the model in code and call load_weights on this file.',
        "keras/src/layers/core/dense.py (get_config) of 3.12 and 3.13; tried with Keras 3.3.3, 3.8.0 and 3.10.0",
    ),
    Need(
        "orthogonal-name", (*_ARCHIVE, *_H5), "recurrent", ">=3.7", _KERAS, ">=3,<3.7", "does-not-load",
        "load_model raises on the initialiser of recurrent layers, which 3.7 renamed (OrthogonalInitializer, now "
        "Orthogonal)",
        'pip install "keras>=3.7", or build the model in code and call load_weights on this file.',
        "keras/src/initializers/random_initializers.py of 3.6 and 3.7; tried with Keras 3.3.3",
    ),
    Need(
        "quantised-layers", _ARCHIVE, "quantised", ">=3.4", _KERAS, ">=3,<3.4", "does-not-load",
        "load_model raises on layers that are stored quantised, which came with 3.4",
        'pip install "keras>=3.4"', "tried with Keras 3.3.3 (raises) and 3.4.1 (loads) on a file of 3.8",
    ),
    Need(
        "loss-scaled-archive", _ARCHIVE, "loss-scaled-archive", ">=3", _KERAS, ">=3", "loads-with-losses",
        "load_model skips the state of a loss-scaled optimizer (mixed_float16) with no more than a UserWarning",
        "Let holdfast restore it into the compiled model, whose optimizer is built.",
        "keras/src/saving/saving_lib.py; tried with Keras 3.8.0, 3.10.0 and 3.15 on files of 3.0 to 3.15",
        "the optimizer's state",
    ),
    Need(
        "unconfigured-optimizer", _ARCHIVE, "unconfigured-optimizer", ">=3", _KERAS, ">=3", "loads-with-losses",
        "load_model finds optimizer variables but no optimizer in the compile configuration, makes a default one and "
        "skips the state with no more than a UserWarning",
        "Compile the model with the optimizer that wrote it, build it, and let holdfast restore its state.",
        "keras/src/saving/saving_lib.py; tried with Keras 3.8.0, 3.10.0 and 3.15 on files of 3.0 to 3.15",
        "the optimizer's state",
    ),
    Need(
        "keras2-slots", ("keras-archive", "keras-weights-h5"), "slots", ">=2,<3", _KERAS, ">=3", "loads-with-losses",
        "load_weights skips the optimizer's state: Keras 2 lists no learning rate among its variables, so that their "
        "number differs",
        "Let holdfast restore the state by owner into a built optimizer.",
        "keras/src/optimizers/base_optimizer.py (load_own_variables); tried with Keras 3.15",
        "the optimizer's state",
    ),
    Need(
        "sharded-weights", ("keras-weights-sharded",), "", "", _KERAS, "<3.10", "does-not-load",
        "does not know weights in several files (.weights.json), which came with 3.10",
        'pip install "keras>=3.10", or let holdfast restore it into the model.',
        "keras/src/saving/saving_lib.py (ShardedH5IOStore) of 3.9 and 3.10",
    ),
    # -- TensorFlow's containers -----------------------------------------------------------------------------------
    Need(
        "keras-savedmodel", ("savedmodel",), "keras-savedmodel", "", _KERAS, ">=3", "does-not-load",
        "load_model takes no SavedModel folders",
        "keras.layers.TFSMLayer(path, call_endpoint='serving_default') for inference, tf.saved_model.load, or Keras 2 "
        "(pip install tf_keras; TF_USE_LEGACY_KERAS=1)",
        "keras/src/saving/saving_api.py (load_model); tried with Keras 3.15",
    ),
    Need(
        "savedmodel-slots", ("savedmodel",), "slot-paths", "<2.11", _KERAS, ">=3", "does-not-load",
        "tf.saved_model.load and TFSMLayer raise AttributeError ('_UserObject' object has no attribute 'add_slot') on "
        "SavedModels that hold a Keras optimizer of TensorFlow before 2.11",
        _KERAS2, "tensorflow/python/saved_model/load.py; tried with TensorFlow 2.21 on files of 2.1, 2.4 and 2.8, with "
        "and without tf_keras",
    ),
    Need(
        "keras-tf-weights", _BUNDLE, "top-level-layers", "", _KERAS, ">=3", "does-not-load",
        "load_weights refuses weights in TensorFlow format",
        _KERAS2, "keras/src/saving/saving_api.py (load_weights); tried with Keras 3.15",
    ),
    Need(
        "keras2-object-paths", _BUNDLE, "nested-layers", "", _KERAS, ">=3", "does-not-load",
        "tf.train.Checkpoint(model=...).restore finds none of these weights, as Keras 3 has them under other paths "
        "(_operations/N), and says nothing",
        _KERAS2, "tried with Keras 3.15 on checkpoints of TensorFlow 2.1 to 2.16 with Keras 2: 0 of 16 weights came "
        "back, no error",
    ),
    Need(
        "legacy-slots", _BUNDLE, "slot-paths", "", _KERAS, ">=2.11", "loads-with-losses",
        "an optimizer of Keras 2.11 or newer finds no state at `.OPTIMIZER_SLOT` paths and starts afresh without a word",
        "keras.optimizers.legacy (Keras 2.11 to 2.15), or let holdfast restore the state by owner.",
        "keras/optimizers/optimizer.py of 2.11; tried with Keras 3.15", "the optimizer's state",
    ),
    Need(
        "flat-slots", _BUNDLE, "flat-optimizer", "", _KERAS, ">=3", "loads-with-losses",
        "the optimizer's state lies two places off (Keras 3 counts iterations and learning rate in `_variables`): "
        "restore raises ValueError, or crosses the slots silently where shapes agree",
        "Let holdfast restore the state by owner.", "tried with Keras 3.15 on a checkpoint of TensorFlow 2.15",
        "the optimizer's state",
    ),
    Need(
        "open-conv-kernel", _BUNDLE, "open-conv", "", _KERAS, ">=3.3", "loads-with-losses",
        "convolution kernels lie under `kernel`; since 3.3 Keras looks for `_kernel`, leaves them at their initial "
        "value and says nothing",
        "Let holdfast restore it into the model.",
        "keras/src/layers/convolutional/base_conv.py of 3.2 and 3.3; tried with Keras 3.15 on a checkpoint of 3.0.5: "
        "15 of 16 weights came back, no error", "convolution kernels",
    ),
    Need(
        "closed-conv-kernel", _BUNDLE, "closed-conv", "", _KERAS, ">=3,<3.3", "loads-with-losses",
        "convolution kernels lie under `_kernel`; before 3.3 Keras looks for `kernel`, leaves them at their initial "
        "value and says nothing",
        'pip install "keras>=3.3", or let holdfast restore it into the model.',
        "keras/src/layers/convolutional/base_conv.py of 3.2 and 3.3", "convolution kernels",
    ),
    Need(
        "v1-types", ("tf-v1",), "sliced", "", ("tensorflow",), ">=1.4", "loads-with-losses",
        "the checkpoint reader refuses sliced tensors, float16 and bool of V1 checkpoints",
        "Restore the graph's variables with tf.compat.v1.train.Saver, or let holdfast read the file.",
        "tensorflow/core/util/tensor_slice_reader.cc; tried with TensorFlow 1.4, 1.13, 1.15 and 2.21",
        "these tensors",
    ),
    Need(
        "tf-float8", _BUNDLE, "float8", "", ("tensorflow",), "<2.12", "does-not-load",
        "does not know float8",
        'pip install "tensorflow>=2.15"', "tensorflow/core/framework/types.proto (DT_FLOAT8_E5M2 came with 2.12)",
    ),
    Need(
        "tf-int4", _BUNDLE, "int4", "", ("tensorflow",), "<2.12", "does-not-load",
        "does not know int4 and uint4",
        'pip install "tensorflow>=2.15"', "tensorflow/core/framework/types.proto (DT_INT4 came with 2.12)",
    ),
)  # fmt: skip
