"""What TensorFlow and Keras print around checkpoints, one row a family, with values of our own: what it is put down to."""

from __future__ import annotations

import re

import pytest

import holdfast

SAID = (
    # the readers and writers of a checkpoint's files
    ("corrupt", "DataLossError: String lengths longer than expected offset 88"),
    ("corrupt", "DataLossError: The length checksum does not match: expected 31 but actual is 17"),
    ("corrupt", "DataLossError: Entry for key dec/bias not parseable."),
    ("corrupt", "DataLossError: The checksum after Variant 2 does not match. Expected: 4 Actual: 9"),
    ("corrupt", "DataLossError: bad entry in block"),
    ("corrupt", "DataLossError: Failed to seek to the record for tensor enc/w in slice -: computed as k"),
    (
        "corrupt",
        "OpError: Unable to read file (w/a.index). Perhaps the file is corrupt or was produced by a newer version of "
        "TensorFlow with format changes (unable to parse header)",
    ),
    ("format-mismatch", "DataLossError: Failed to find the saved tensor slices at the beginning of the checkpoint file: w/a"),
    ("format-mismatch", "UnimplementedError: TensorBundle at w/ais of a different endianness than this machine's hardware"),
    ("concurrency", "InvalidArgumentError: Merging bundles with conflicting endianness; inputs corrupted?"),
    ("concurrency", "InvalidArgumentError: At least one prefix checkpoint file must exist, but none existed."),
    ("concurrency", "NotFoundError: w/a_temp/part-00000-of-00001.index; No such file or directory [Op:MergeV2Checkpoints]"),
    ("custom-object", 'InternalError: Could not decode variant with type_name: "mine::Trie".'),
    ("topology", "InvalidArgumentError: Does not have sufficient slices for partitioned tensor t to restore in slice_spec: 0,3"),
    ("topology", "ValueError: Mixing slices and non-slices with the same name: t"),
    ("unserialisable", "UnimplementedError: Tensor slice serialization not implemented for dtype 23"),
    ("incomplete-save", "NotFoundError: out/3/variables/variables.index; No such file or directory"),
    ("not-found", "NotFoundError: w/other; No such file or directory [Op:RestoreV2]"),
    ("renamed", "InvalidArgumentError: Adding duplicate key: enc/w"),
    # stores
    ("not-found", "NotFoundError: The specified bucket gs://nobody was not found."),
    ("not-found", "Error executing an HTTP request: HTTP response code 404 with body '' when reading metadata of gs://b/saved_model.pb"),
    ("storage", "UnavailableError: Error executing an HTTP request: libcurl code 6 meaning 'Couldn't resolve host name'"),
    # input pipelines
    ("resume-state", "InvalidArgumentError: Dataset has changed while restoring from the checkpoint. Old hash: 7 New hash: 8"),
    ("resume-state", "InvalidArgumentError: Cycle length 2 is different from the cycle length to restore from the checkpoint: 4"),
    ("lazy-build", "FailedPreconditionError: Restore() failed because the iterator has not been initialized."),
    ("unserialisable", "UnimplementedError: GeneratorDataset does not support checkpointing."),
    ("graph-lifecycle", "FailedPreconditionError: Table was already initialized with different data."),
    # savers, hooks, graphs
    ("graph-lifecycle", "RuntimeError: Global step should be created to use CheckpointSaverHook."),
    ("graph-lifecycle", "RuntimeError: No items in collection savers. Please add a saver to the collection"),
    ("graph-lifecycle", "ValueError: You cannot provide both saver and scaffold."),
    ("graph-lifecycle", "It is likely the model was frozen previously. You cannot freeze a graph twice."),
    ("graph-lifecycle", "NotImplementedError: Calling tf.train.Checkpoint.restore() from a function is not supported"),
    ("version-mismatch", "ValueError: The binary trying to import the GraphDef was built when GraphDef version was 9."),
    ("device-mismatch", "ValueError: All tensors of a saveable object must be on the same device: emb/part_1"),
    (
        "missing-tensor",
        "ValueError: Attempting to warm-start from an object-based checkpoint, but found that the checkpoint did not contain "
        "values for all variables. The following variables were missing: ['head']",
    ),
    ("shape-mismatch", "ValueError: Total size of new array must be unchanged for fc/w lh_shape: [(4, 9)], rh_shape: [(4, 2)]"),
    ("renamed", "ValueError: Variable fc/w doesnt uniquely identify a variable"),
    ("renamed", "ValueError: Cannot create a Checkpoint with keyword argument net if root.net already exists."),
    ("retention", "ValueError: Expected a positive integer or `None` for `max_to_keep`, got -2."),
    ("not-found", "InvalidArgumentError: When a checkpoint is passed, a checkpoint_dir must be passed as well."),
    ("not-found", "WARNING:tensorflow:Estimator is not trained yet. Will start an evaluation when a checkpoint is ready."),
    ("topology", "NotImplementedError: PreemptionCheckpointHandler does not supportusage with ParameterServerStrategy."),
    # saved models
    ("format-mismatch", "NotFoundError: Could not find meta graph def matching supplied tags: { train }."),
    ("format-mismatch", "RuntimeError: MetaGraphDef associated with tag-set serve could not be found in the SavedModel."),
    ("format-mismatch", 'ValueError: Could not find signature "embed". Please choose from: serving_default'),
    ("corrupt", "ValueError: The model is not a valid Flatbuffer buffer"),
    ("not-found", "ValueError: Could not open 'nets/detect.tflite'."),
    ("custom-object", "RuntimeError: Regular TensorFlow ops are not supported by this interpreter."),
    ("format-mismatch", "Error: The JSON from HTTP path m.json contains neither model topology or manifest for weights."),
    # Keras and HDF5
    ("version-mismatch", "OSError: Can't read data (can't open directory: /opt/hdf5/lib/plugin)"),
    ("version-mismatch", "OSError: Can't synchronously read data (required filter 'blosc' is not registered)"),
    ("dtype-mismatch", "TypeError: No conversion path for dtype: dtype(bfloat16)"),
    ("unserialisable", "TypeError: No conversion path for dtype: dtype('<U9')"),
    ("unserialisable", "OSError: Can't write data (no appropriate function for conversion path)"),
    ("graph-lifecycle", "ValueError: Invalid location identifier (invalid location identifier)"),
    ("lazy-build", "UserWarning: Model 'enc' had a build config, but the model cannot be built automatically in"),
    ("renamed", "Looks like there is an object (perhaps variable or layer) that is shared between different layers/models."),
    ("size-limit", "ValueError: The size of layers/emb is 7.5 GB which exceeds the maximum shard size 5.0 GB."),
    ("unsafe-pickle", "ValueError: Loading a vocabulary outside of the archive is a risk and thus it is disallowed by default."),
    ("storage", "ImportError: Google Storage file transfer requires tensorflow."),
)  # fmt: skip

_CLASS = re.compile(r"^(?:\w*(?:Error|Warning)|WARNING:\w+): ?")


@pytest.mark.parametrize(("label", "text"), SAID)
def test_a_message_is_put_down_to_its_cause(label: str, text: str) -> None:
    for form in {text, _CLASS.sub("", text)}:  # with its class, and as people quote it
        found = holdfast.diagnose(form, files=False)
        assert [cause.label for cause in found.causes][:1] == [label], form


TRACED = (
    (
        "storage",
        '    checkpoint.save("s3://b/run")\n  File "tensorflow/python/checkpoint/checkpoint.py", line 2500, in save\n'
        "InternalError: s3://b/run: The difference between the request time and the current time is too large.",
    ),
    ("graph-lifecycle", '    saver.restore(sess, "w/a")\nValueError: "global_step" already exists.'),
    (
        "optimizer-hyperparameters",
        '    net = load_model("net.h5")\nUserWarning: Argument `decay` is no longer supported and will be ignored.',
    ),
    (
        "lazy-build",
        '    net.load_weights("w.weights.h5")\nAttributeError: You must build the layer before accessing `kernel`.',
    ),
    (
        "corrupt",
        '    reader = tf.train.load_checkpoint("w/a")\n'
        '  File "tensorflow/python/training/py_checkpoint_reader.py", line 40, in error_translator\n'
        "    raise errors_impl.DataLossError(None, None, error_message)\n"
        "tensorflow.python.framework.errors_impl.DataLossError: truncated block read",
    ),
    (
        "lazy-build",
        '    net = keras.models.load_model("net.keras")\n'
        '  File "keras/src/layers/preprocessing/index_lookup.py", line 1018, in call\n'
        "RuntimeError: When using `output_mode=int` and `pad_to_max_tokens=False`, you must set the layer's vocabulary "
        "before calling it.",
    ),
    (
        "version-mismatch",
        '    net.load_weights("w.h5")\n  File "h5py/_hl/dataset.py", line 573, in __getitem__\n'
        "OSError: Can't read data (required filter 'lz4' is not registered)",
    ),
)


@pytest.mark.parametrize(("label", "text"), TRACED)
def test_a_traceback_is_put_down_to_its_cause(label: str, text: str) -> None:
    found = holdfast.diagnose(
        'Traceback (most recent call last):\n  File "run.py", line 9, in <module>\n' + text, files=False
    )
    assert found.is_checkpoint_failure and found.causes[0].label == label


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: Global step should be created to use StopAtStepHook.",
        "UserWarning: Argument `decay` is no longer supported and will be ignored.",
        "ValueError: All layers added to a Sequential model should have unique names. Name 'a' is already the name",
        'ValueError: "global_step" already exists.',
        "AttributeError: You must build the layer before accessing `kernel`.",
        "ValueError: Unknown variable name: pressure",
        "RuntimeError: Run called even after should_stop requested.",
        "ValueError: No files match `file_pattern` data/*.csv.",
        "ValueError: ReduceLROnPlateau does not support a factor >= 1.0. Received factor=2",
        "ValueError: No gradients provided for any variable: ['a:0'].",
        "ValueError: You called `fit()` with an empty dataset",
        'Traceback (most recent call last):\n  File "run.py", line 9, in <module>\n    for batch in data:\n'
        '  File "tensorflow/python/data/ops/iterator_ops.py", line 800, in __next__\n'
        "tensorflow.python.framework.errors_impl.DataLossError: bad entry in block [Op:IteratorGetNext]",
    ],
)
def test_a_message_of_a_step_or_its_data_is_not_taken_for_one(text: str) -> None:
    assert not holdfast.diagnose(text, files=False).is_checkpoint_failure
