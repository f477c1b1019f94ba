"""Keras: names that moved or went between its generations, and what the packages around it say of each other.

Messages: keras/engine/{training,network,saving}.py of Keras 1 and 2, tensorflow/python/keras/saving/save.py, h5py/__init__.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone

_GONE = (
    "Merge|Highway|MaxoutDense|TimeDistributedDense|Convolution[123]D|AtrousConvolution[12]D|Deconvolution[23]D|"
    "CuDNNLSTM|CuDNNGRU|multi_gpu_model|_obtain_input_shape|model_from_yaml|load_model_from_hdf5|"
    "preprocess_weights_for_loading|load_weights_from_hdf5_group\\w*|save_weights_to_hdf5_group|Functional|KerasTensor"
)
_TOGETHER = (
    "Install the versions that belong together (`pip freeze` where it was saved), in a fresh environment."
)

ENTRIES = (
    Entry(
        "keras-name-gone",
        "version-mismatch",
        ("cannot import name", "has no attribute"),
        rf"cannot import name [\"'`]?(?P<name>{_GONE})\b"
        rf"|module [\"'`][\w.]*keras[\w.]*[\"'`] has no attribute [\"'`](?P<name2>{_GONE})\b",
        why="Keras has this name in some versions only: the code is of another one",
        remedy=_TOGETHER,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.78), ("custom-object", 0.5)),
        example="ImportError: cannot import name Merge",
    ),
    Entry(
        "keras-package-beside",
        "version-mismatch",
        (
            "no module named 'efficientnet",
            "no module named 'classification_models",
            "no module named 'segmentation_models",
            "no module named 'image_classifiers",
            "no module named 'tensorflow_core",
            "no module named 'tf_keras",
            "no module named 'theano",
        ),
        r"No module named '(?P<module>(?:efficientnet|classification_models|segmentation_models|image_classifiers"
        r"|tensorflow_core|tf_keras|theano)[\w.]*)'",
        why="`{module}` is not there: the model came with code of another version of that package",
        remedy=_TOGETHER,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.76), ("custom-object", 0.56)),
        example="ModuleNotFoundError: No module named 'efficientnet.blocks'",
    ),
    Entry(
        "h5py-broken",
        "version-mismatch",
        ("importerror", "requires h5py"),
        r"\bh5py[\\/.]\w.{0,800}?ImportError: (?P<what>[^\n]{1,120})|[`'\"]?\w+[`'\"]? requires h5py",
        why="h5py itself cannot be imported: it is missing, or built for another Python or HDF5",
        remedy="`pip install --force-reinstall h5py` in the environment that runs the program; then import it once by itself.",
        weigh=ranked(("version-mismatch", 0.78), ("other", 0.5)),
        example="  File \"/env/h5py/__init__.py\", line 26\nImportError: cannot import name '_conv'",
    ),
    Entry(
        "keras-config-without-layers",
        "unserialisable",
        ("keyerror: 'layers'",),
        r"(?:from_json|reconstruct_from_config|network\.py|functional\.py|from_config).{0,600}?KeyError: 'layers'",
        why="the config lists no layers: the model is of a class of its own, whose `get_config` names its arguments only",
        remedy="Make the model by its code and load weights; a class of your own needs its own `from_config`.",
        weigh=ranked(("unserialisable", 0.78), ("custom-object", 0.7), ("version-mismatch", 0.6)),
        example="  File \"network.py\", line 9, in reconstruct_from_config\nKeyError: 'layers'",
    ),
    Entry(
        "hdf5-counted-layers",
        "version-mismatch",
        ("'nb_layers'", "'nb_params'"),
        r"(?:locate attribute: |KeyError: )[\"]?'(?P<key>nb_layers|nb_params)'",
        why="`{key}` is how Keras before 1.0 counted layers in a file; later files hold `layer_names` instead",
        remedy="Load with `model.load_weights` of the version that wrote the file; `holdfast inspect FILE` shows what it holds.",
        weigh=ranked(("version-mismatch", 0.86), ("format-mismatch", 0.78), ("renamed", 0.36)),
        example="KeyError: \"Can't open attribute (Can't locate attribute: 'nb_layers')\"",
    ),
    Entry(
        "keras-saved-model-not-yet",
        "version-mismatch",
        ("as savedmodel is not supported in tensorflow 1",),
        r"Saving the model as SavedModel is not supported in TensorFlow 1",
        why="Keras of TensorFlow 1 in graph mode writes no SavedModel folders",
        remedy='Save as HDF5 (`save_format="h5"`), or enable eager execution, or use TensorFlow 2.',
        weigh=ranked(("version-mismatch", 0.8), ("format-mismatch", 0.66), ("unserialisable", 0.4)),
        example="NotImplementedError: Saving the model as SavedModel is not supported in TensorFlow 1.X",
    ),
    Entry(
        "keras-by-name-nothing",
        "renamed",
        ("by_name",),
        r"(?:not|never|nothing|no weights?|silently)\b.{0,60}\bload\w*.{0,100}\bby_name|\bby_name.{0,80}\b(?:not|never|nothing"
        r"|silently|no weights?)\b.{0,40}\b(?:load|match)",
        why="with `by_name` only layers of the same name are filled, and the others are passed over in silence",
        remedy="`holdfast check FILE module:factory` lists the names on both sides; name the layers yourself.",
        where=loading_or_alone,
        weigh=ranked(("renamed", 0.62), ("missing-tensor", 0.58), ("version-mismatch", 0.36)),
        example="The weights were not loaded, though I gave by_name=True.",
    ),
    Entry(
        "keras-two-kerases",
        "version-mismatch",
        ("instance, got", "not gfile"),
        r"Expected `?model`? argument to be a `?Model`? instance, got|expected str, bytes or os\.PathLike object, not GFile",
        why="two libraries meet here that do not belong together: `keras` and `tf.keras`, or TensorFlow and an older h5py",
        remedy="Make and load the model with one of them only (`tf.keras`); upgrade h5py with TensorFlow.",
        weigh=ranked(("version-mismatch", 0.8), ("format-mismatch", 0.5), ("custom-object", 0.4)),
        example="TypeError: expected str, bytes or os.PathLike object, not GFile",
    ),
    Entry(
        "keras-code-as-text",
        "unserialisable",
        ("'rawunicodeescape' codec",),
        r"'rawunicodeescape' codec can't decode bytes",
        why="a Lambda layer's byte code holds a Windows path, which this version of Keras cannot write as text",
        remedy=(
            "Upgrade Keras (2.1 and later write it in base64), save weights only, or replace the Lambda by a "
            "layer of your own."
        ),
        weigh=ranked(("unserialisable", 0.8), ("version-mismatch", 0.74), ("custom-object", 0.4)),
        example="UnicodeDecodeError: 'rawunicodeescape' codec can't decode bytes in position 5-6",
    ),
    Entry(
        "hdf5-path-not-encoded",
        "storage",
        ("'mbcs' codec can't encode", "errno = -1"),
        r"'mbcs' codec can't encode|Unable to open file:? name = '(?P<path>[^']{1,200})', errno = -1",
        why="the path holds letters that this HDF5 cannot hand to Windows",
        remedy="Use a path of plain ASCII letters, or a newer h5py (3 and later take UTF-8 names).",
        weigh=ranked(("storage", 0.76), ("not-found", 0.66), ("version-mismatch", 0.5)),
        example="UnicodeEncodeError: 'mbcs' codec can't encode characters in position 2--1: invalid character",
    ),
    Entry(
        "hdf5-read-as-text",
        "format-mismatch",
        ("decode byte 0x89 in position 0",),
        r"can't decode byte 0x89 in position 0",
        why="the file read as text begins as HDF5 does: the weights' file was given for the model's JSON",
        remedy="`holdfast FILE` says what it is: `load_weights` reads it, `model_from_json` wants the other file.",
        context=("model_from_json", "keras", "json", "h5"),
        only_in=True,
        weigh=ranked(("format-mismatch", 0.96), ("version-mismatch", 0.36), ("corrupt", 0.36)),
        example=(
            "made = model_from_json(f.read())\nUnicodeDecodeError: 'utf-8' codec can't decode byte 0x89 in position 0"
        ),
    ),
    Entry(
        "slice-spec-of-save-file",
        "shape-mismatch",
        ("shape_and_slice spec",),
        r"Shape in shape_and_slice spec.{0,60}? does not match the shape in the save file",
        why="a variable has another shape in the model than in the checkpoint",
        remedy="Build the model with the sizes it was saved with; `holdfast diff` shows both sides.",
        weigh=ranked(("shape-mismatch", 0.9), ("version-mismatch", 0.3)),
        example="Shape in shape_and_slice spec does not match the shape in the save file: [7,2], save file shape: [3,2]",
    ),
    Entry(
        "keras-nothing-there",
        "not-found",
        ("no file or directory found at",),
        r"No file or directory found at (?P<path>\S{1,300})",
        why="there is no file at that path ({path}); a checkpoint's prefix (`name.ckpt`) is no file either",
        remedy="Check the working folder; a checkpoint of TensorFlow goes into `load_weights`, not into `load_model`.",
        test="path",
        weigh=lambda look: _nothing_there(look),
        example="OSError: No file or directory found at out/best.h5",
    ),
    Entry(
        "keras-preset-unknown",
        "not-found",
        ("unknown preset identifier", "could not load pretrained model weights", "incorrect path to the"),
        r"Unknown preset identifier|Could not load pretrained model weights|specified an incorrect path to the [\w ]*model file",
        why="the pretrained weights are not there under that name",
        remedy="Check the name's spelling against the library's list, or fetch the file and give its path.",
        weigh=ranked(("not-found", 0.84), ("version-mismatch", 0.56), ("format-mismatch", 0.5)),
        example="ValueError: Unknown preset identifier. A preset must be one of",
    ),
    Entry(
        "keras-layer-counts-told",
        "version-mismatch",
        (" layer model into ",),
        r"load (?:a |an )?(?P<a>\d+) layer model into (?:a |an )?(?P<b>\d+) layer model",
        why="the file was read as having {a} layers and the model has {b}: another version wrote it, or the wrong one was built",
        remedy="Load with the version that saved (`holdfast FILE` names it), or build the same model.",
        weigh=ranked(("version-mismatch", 0.66), ("missing-tensor", 0.6), ("lazy-build", 0.56)),
        example="It says I load a 0 layer model into a 12 layer model.",
    ),
)


def _nothing_there(look: Look) -> list[Guess]:
    """A checkpoint's prefix where a file is wanted, or nothing at all."""
    prefix = ".ckpt" in look.match["path"]
    rows = (("not-found", 0.86), ("format-mismatch", 0.78 if prefix else 0.5), ("storage", 0.36))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
