"""Messages of JAX' libraries, of Python and the system, of stores and further frameworks: what is told of each, in wordings
of our own; and what must not be taken for a failed checkpoint."""

from __future__ import annotations

import pytest

import holdfast
from holdfast._diagnose.diagnose import BARE

FIRST = (
    # Orbax: managers, steps, items
    ("missing-tensor", "KeyError: \"Unknown key: weights. Available keys: dict_keys(['train_state'])\""),
    ("missing-tensor", "KeyError: \"Requested checkpointables: dict_keys(['net']) for loading were not found\""),
    ("missing-tensor", "ValueError: Structure mismatch: Target path ('tx', '0', 'nu') not found in metadata_tree."),
    ("not-found", "FileNotFoundError: Individual parameter subdirectory not found at path: /ck/7/net.dense.kernel."),
    ("not-found", "FileNotFoundError: All restore strategies failed for step 7."),
    ("version-mismatch", "TypeError: CheckpointManager.__init__() missing 1 required positional argument: 'checkpointers'"),
    ("format-mismatch", "InvalidLayoutError: Failed to interpret path /ck/7 as a V1 Orbax checkpoint."),
    ("format-mismatch", "The path (/ck/7/net) appears to be a subdirectory of an Orbax checkpoint"),
    ("format-mismatch", "Checkpoint path /ck/7 could not be identified as a valid Orbax V1 checkpoint."),
    ("unserialisable", "The following leaf types are not registered in the `LeafHandlerRegistry`: [<class 'bytes'>]."),
    ("corrupt", "ERROR:absl:Failed to json parse Metadata file: /ck/7/_CHECKPOINT_METADATA, file content: , error: E"),
    ("incomplete-save", "Process metadata folder does not exist at /l/7. The local checkpoint cannot be restored."),
    ("concurrency", "DeletionInProgressError: Checkpoint at /ck/7 has an unfinished deletion."),
    ("concurrency", "jax.experimental.array_serialization.serialization.BarrierTimeoutError: Suggestions for possible fixes:"),
    ("retention", "FileExistsError: Finalized checkpoint already exists at /ck/7."),
    ("topology", "StandardCheckpointHandler: generally UNSAFE unless you know the present topology to be the same one"),
    ("topology", "Saved and current process metadata are not compatible with mesh-consistency restore."),
    ("topology", "NotImplementedError: Conversion for ShardingTypes.GSPMDSharding has not been implemented."),
    ("retention", "Destination /ck/7 already exists."),
    (
        "unexpected-tensor",
        "on-disk value metadata tree structures do not match: ema:\n    - Source: MISSING\n    - Target: {'w': 1}",
    ),
    (
        "unserialisable",
        '  File "orbax/checkpoint/async_checkpointer.py", line 4, in wait_until_finished\n    self.wait()\n'
        '  File "orbax/checkpoint/handler.py", line 9, in async_save\n    raise ValueError(\n'
        "ValueError: Cannot save arrays with zero size: ParamInfo: [name=a]",
    ),
    # TensorStore
    ("storage", 'ValueError: UNAVAILABLE: Error reading "gs://b/7/manifest.ocdbt": CURL error[28] Timeout was reached'),
    ("storage", 'PERMISSION_DENIED: Error opening "zarr" driver: Error reading "gs://b/7/w/.zarray": HTTP response code: 403'),
    ("storage", 'Error opening "zarr" driver: Failed to open: "/ck/7/.zarray" [OS error 24: EMFILE Too many open files]'),
    ("retention", 'ALREADY_EXISTS: Error opening "zarr" driver: Error writing local file "/ck/7/w/.zarray"'),
    ("concurrency", 'ABORTED: Error writing "w/.zarray": Generation mismatch'),
    ("shape-mismatch", "OUT_OF_RANGE: Propagated bounds interval [0, 32) is not contained in bounds interval [0, 16)"),
    ("corrupt", "Encountered error while reading array index: (slice(0, 8, None),). See full TensorStore details: Spec({})"),
    # trees of flax, optax, equinox; T5X; jax.export
    ("version-mismatch", "Custom node type mismatch: expected type: <class 'flax.core.frozen_dict.FrozenDict'>, value: {}"),
    ("unexpected-tensor", "ValueError: key in pure_dict not available in state: ('blocks', '3', 'bias')"),
    ("missing-tensor", "restored = ckptr.restore(ckpt)\nValueError: Incorrect number of leaves, expected 9 leaves, but got 7."),
    ("missing-tensor", "nnx.update(net, ckptr.restore(ckpt))\nAttributeError: No attribute 'scale' in State"),
    ("optimizer-structure", "AttributeError: 'EmptyState' object has no attribute 'mu'"),
    ("optimizer-structure", "TypeError: ScaleByAdamState.__new__() missing 2 required positional arguments: 'mu' and 'nu'"),
    (
        "missing-tensor",
        '  File "equinox/_serialisation.py", line 5, in f\nValueError: EOF: reading magic string, expected 8 bytes got 0',
    ),
    ("format-mismatch", "ValueError: Attempting to restore a TensorFlow checkpoint as a native T5X checkpoint."),
    ("not-found", "Path is not a valid T5X checkpoint: gs://b/t5x/checkpoint_9"),
    ("topology", "ValueError: Function g was exported for 4 devices and is called in a context with 2 devices"),
    ("device-mismatch", "Function 'g' was exported for platforms '('tpu',)' but it is used on '('cpu',)'."),
    (
        "shape-mismatch",
        'For parameter "w" in "/D", the given initializer is expected to generate shape (3, 5), but the existing parameter '
        "it received has shape (3, 4).",
    ),
    ("renamed", "Expect the `variables` to be a dict with the structure {}, but got a dict with an extra params layer"),
    # archives, pickles, arrays, text
    ("corrupt", "np.load('ckpt.npz')\nzipfile.BadZipFile: Overlapped entries: 'w.npy' (possible zip bomb)"),
    ("corrupt", "load checkpoint\nzipfile.BadZipFile: File name in directory 'a/data.pkl' and header b'a/version' differ."),
    ("format-mismatch", "load weights\n_lzma.LZMAError: Input format not supported by decoder"),
    ("size-limit", "np.savez('w.npz', **params)\nRuntimeError: File size unexpectedly exceeded ZIP64 limit"),
    ("format-mismatch", "load checkpoint.zip\nRuntimeError: File 'net.pt' is encrypted, password required for extraction"),
    ("corrupt", "Memo value not found at index 31"),
    ("format-mismatch", "A load persistent id instruction was encountered, but no persistent_load function was specified."),
    ("corrupt", "ModuleNotFoundError: No module named 'copy_reg\\r'"),
    ("version-mismatch", "pickle.load(f)\nAttributeError: Can't get attribute '__pyx_unpickle_Loss' on <module '_loss'>"),
    ("version-mismatch", "AttributeError: Can't get attribute '_create_code' on <module 'dill._dill' from '/p/dill/_dill.py'>"),
    ("format-mismatch", "pickle.dump(net, open('net.pkl', 'w'))\nTypeError: write() argument must be str, not bytes"),
    ("corrupt", "ValueError: EOF: reading array data, expected 4096 bytes got 100"),
    ("format-mismatch", "the magic string is not correct; expected b'\\x93NUMPY', got b'\\x80\\x04'"),
    ("corrupt", "EOFError: No data left in file"),
    ("unsafe-pickle", "ValueError: This file contains pickled (object) data. If you trust the file you can load it"),
    ("storage", "ValueError: Unable to synchronously create dataset (no write intent on file)"),
    ("version-mismatch", "OSError: Can't read data (can't open directory: /usr/lib/hdf5/plugin)"),
    ("corrupt", "load checkpoint trainer_state.json\nJSONDecodeError: Unterminated string starting at: line 9 column 2"),
    ("unserialisable", "save_checkpoint: ValueError: Out of range float values are not JSON compliant"),
    ("custom-object", "load_from_checkpoint\nConstructorError: could not determine a constructor for the tag 'x'"),
    ("memory", "pickle.load(open('net.pkl', 'rb'))\nMemoryError: Unable to allocate 9.00 GiB for an array with shape (9,)"),
    # the system
    ("storage", "TimeoutError: [Errno 110] Connection timed out: '/mnt/ck/model_9.pt'"),
    ("storage", "OSError: [WinError 1392] The file or directory is corrupted and unreadable: 'D:\\\\ck\\\\model.pth'"),
    ("storage", "OSError: [WinError 225] the file contains a virus: 'D:\\\\ck\\\\model.pth'"),
    # stores, runtimes, trees, further frameworks
    ("not-found", "ResourceNotFoundError: The specified blob does not exist. (ck/model.pt)"),
    ("not-found", "dvc: Checkout failed for following targets: models/net.pkl. Is your cache up to date?"),
    ("storage", "Failed to retrieve file url: Too many users have viewed or downloaded this file recently. (net.pth)"),
    ("storage", "Data processing error: CAS service error : single flight error (model.safetensors)"),
    ("corrupt", "xgboost.core.XGBoostError: input stream corrupted"),
    ("corrupt", "lightgbm.basic.LightGBMError: Model format error, expect a tree here. met x=1"),
    ("version-mismatch", "WARNING: gbtree.cc:343: Loading model from XGBoost < 1.0.0, consider saving it again"),
    ("preprocessing", "booster.load_model(p)\nValueError: feature_names mismatch: ['a'] ['b']"),
    ("not-found", "lightgbm.basic.LightGBMError: Could not open gbm.txt"),
    ("custom-object", "[TRT] [E] 3: getPluginCreator could not find plugin: EfficientNMS_TRT version: 1"),
    ("custom-object", "Load model from n.onnx failed:Fatal error: own:Gate(-1) is not a registered function/op"),
    ("incomplete-save", 'Deserialize tensor w.1 failed.open file "n.onnx.data" failed: No such file or directory'),
    ("format-mismatch", "ValueError: Model provided has model identifier 'PK 1', should be 'TFL3'"),
    ("missing-tensor", "AssertionError: Parameter 'conv1_weight' is missing in file 'n.params', which contains parameters: 'x'"),
    ("unexpected-tensor", "Parameter 'fc_bias' loaded from file 'n.params' is not present in this block."),
    ("corrupt", "InvalidArgumentError: tensor version 2303748 is not supported, Only version 0 is supported"),
    ("not-found", "result.checkpoint.to_directory()  # ray\nAttributeError: 'NoneType' object has no attribute 'to_directory'"),
)  # fmt: skip
"""The first cause, and a text."""

_FAR = 'Traceback (most recent call last):\n  File "/a/plot.py", line 9, in draw\n    {}\n{}'
SILENT = (
    "OSError: [Errno 5] Input/output error: 'plots/loss.png'",
    "OSError: [Errno 39] Directory not empty: 'plots/loss.png'",
    "OSError: [Errno 27] File too large: 'table.csv'",
    "RuntimeError: Array has been deleted with shape=float32[1024].",
    "ValueError: Dict key mismatch; expected keys: ['a', 'b']; dict: {'a': 1}.",
    "RuntimeError: Unable to initialize backend 'tpu': UNAVAILABLE: No TPU Platform available.",
    "ValueError: X has 10 features, but RandomForestClassifier is expecting 12 features as input.",
    "TypeError: Can't broadcast (3, 4) -> (5, 4)",
    _FAR.format("image = decode(raw)", "zlib.error: Error -3 while decompressing data: invalid block type"),
    _FAR.format(
        "row = json.loads(line)",
        "json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 9 (char 8)",
    ),
    _FAR.format(
        "reply = get(url)",
        "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://a.b/c",
    ),
)
"""Said of other things, or of a checkpoint only where a save or a load is told beside it."""


@pytest.mark.parametrize(("label", "text"), FIRST)
def test_a_message_gets_its_cause(label: str, text: str) -> None:
    found = holdfast.diagnose(text)
    assert found.is_checkpoint_failure
    assert found.causes[0].label == label


@pytest.mark.parametrize("text", SILENT)
def test_what_is_said_of_other_things_is_no_checkpoint_failure(text: str) -> None:
    assert not holdfast.diagnose(text).is_checkpoint_failure


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("storage", "OSError: [WinError 59] An unexpected network error occurred"),
        ("storage", "OSError: [Errno 70] Communication error on send"),
    ],
)
def test_a_system_message_by_itself_is_told_with_a_condition(label: str, text: str) -> None:
    found = holdfast.diagnose(text)
    assert not found.is_checkpoint_failure and found.note == BARE
    assert found.causes[0].label == label
