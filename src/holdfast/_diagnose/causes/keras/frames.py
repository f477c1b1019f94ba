"""Keras: of a failure only the frames of the traceback stand there, and no message: the function on the way tells.

Names of functions: keras/engine/{topology,saving,network}.py, tensorflow/python/keras/saving/hdf5_format.py,
keras/src/saving/saving_lib.py, keras/src/legacy/saving/legacy_h5_format.py, h5py/_hl/{files,group,attrs}.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, Weigh, ranked

_RAISES = re.compile(r"(?<![.\w])(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception)\b(?!\()")
_VERSION = "Load with the version that saved (`holdfast FILE` names it), or build the model in code and load the weights alone."


def without_message(*rows: tuple[str, float]) -> Weigh:
    """A ``weigh`` that speaks only where no exception's own line stands in the text."""

    def weigh(look: Look) -> list[Guess]:
        if look.reading.raised or _RAISES.search(look.reading.text):
            return []
        return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]

    return weigh


ENTRIES = (
    Entry(
        "keras-frames-config",
        "version-mismatch",
        (
            "deserialize_keras_object",
            "model_from_config",
            "from_config",
            "reconstruct_from_config",
            "process_node",
            "model_from_json",
            "model_from_yaml",
            "func_load",
            "printable_module_name",
            "deserialize_fn",
            "deserialize_model_from_bytecode",
            "saving_lib.load_model",
            "saved_model_load.load",
            "kerasobjectloader",
            "keras_loader.load_layers",
            "_load_model_from_fileobj",
            "_deserialize_model",
        ),
        "",
        why="the model was being made anew from its saved config: of another version, or with a class that is not known here",
        remedy=_VERSION + " Classes of your own: pass custom_objects.",
        weigh=lambda look: _remade(look),
        example='  File "keras/engine/functional.py", line 9, in from_config\n    made = reconstruct_from_config(config)',
    ),
    Entry(
        "keras-frames-deepcopy",
        "unserialisable",
        (
            "deepcopy",
            "get_config",
            "to_json",
            "in save_model",
            "_serialize_model",
            "model_metadata",
            "get_json_type",
            "_updated_config",
        ),
        r"in (?:get_config|to_json|_updated_config|save_model|_serialize_model|model_metadata|get_json_type)\b"
        r"|(?:get_config|to_json)\(|deepcopy.{0,200}(?:keras|model)|(?:keras|model).{0,400}deepcopy",
        why=(
            "the model's config was being copied or written, and something in it has no plain value (a tensor in "
            "a Lambda, a lock)"
        ),
        remedy="Give layers plain arguments and a `get_config`; or save the weights alone. `holdfast isolate` names the part.",
        weigh=without_message(("unserialisable", 0.7), ("custom-object", 0.42), ("version-mismatch", 0.36)),
        example='  File "keras/engine/network.py", line 9, in to_json\n    model_config = self._updated_config()',
    ),
    Entry(
        "keras-frames-convert",
        "version-mismatch",
        ("preprocess_weights_for_loading", "convert_nested_model", "_convert_rnn_weights"),
        "",
        why="weights of another Keras generation or backend were being converted",
        remedy=_VERSION,
        weigh=without_message(("version-mismatch", 0.72), ("shape-mismatch", 0.46), ("renamed", 0.4)),
        example=(
            '  File "keras/engine/saving.py", line 9, in load_weights_from_hdf5_group\n    '
            "preprocess_weights_for_loading(layer)"
        ),
    ),
    Entry(
        "keras-frames-weights",
        "missing-tensor",
        (
            "load_weights_from_hdf5_group",
            "load_own_variables",
            "_load_state",
            "batch_set_value",
            "load_subset_weights",
        ),
        "",
        why="the layers' weights were being set, and the file's do not fit the model's",
        remedy="`holdfast check FILE module:factory` lists the layers on both sides.",
        weigh=without_message(("shape-mismatch", 0.52), ("missing-tensor", 0.5), ("version-mismatch", 0.44)),
        example=(
            '  File "keras/engine/saving.py", line 9, in load_weights_from_hdf5_group\n    '
            "K.batch_set_value(weight_value_tuples)"
        ),
    ),
    Entry(
        "keras-frames-optimizer",
        "optimizer-structure",
        ("optimizer.set_weights", "optimizer_weights", "load_optimizer_weights"),
        "",
        why="the optimizer's state was being set, and the file's does not fit",
        remedy="`load_model(path, compile=False)`, and compile anew.",
        weigh=without_message(("optimizer-structure", 0.7), ("version-mismatch", 0.46), ("lazy-build", 0.36)),
        example='  File "keras/models.py", line 9, in load_model\n    model.optimizer.set_weights(values)',
    ),
    Entry(
        "keras-frames-compile",
        "custom-object",
        ("_training_config", "sample_weight_mode", "compile_args_from_training_config", "training_config["),
        r"load_(?:model|from_saved_model).{0,1200}?(?P<way>_training_config\)|sample_weight_mode=sample_weight_mode"
        r"|compile_args_from_training_config|training_config\[)",
        why="the loaded model was being compiled as it was saved: with a loss, metric or optimizer that is not known here",
        remedy="Pass custom_objects; or `load_model(path, compile=False)`, and compile anew.",
        weigh=ranked(("custom-object", 0.56), ("version-mismatch", 0.5), ("optimizer-structure", 0.36)),
        example='  File "save.py", line 9, in load_model\n    compile_args_from_training_config(config))',
    ),
    Entry(
        "hdf5-frames-open",
        "corrupt",
        ("h5f.open", "h5f.create", "make_fid"),
        r"h5py\.h5f\.(?P<way>open|create)\b|in make_fid.{0,200}h5f\.(?P<way2>open|create)",
        why="the file could not be opened or made",
        remedy="`holdfast FILE` says what it is; for a file to be written look for its folder, permission and room.",
        weigh=lambda look: _opened(look),
        example='  File "h5py/h5f.pyx", line 78, in h5py.h5f.open',
    ),
)


def _remade(look: Look) -> list[Guess]:
    """Of a class by its name, or of a config."""
    if "printable_module_name" in look.reading.text:
        rows = (("custom-object", 0.6), ("version-mismatch", 0.57), ("unserialisable", 0.36))
    else:
        rows = (("version-mismatch", 0.6), ("custom-object", 0.56), ("unserialisable", 0.36))
    return without_message(*rows)(look)


def _opened(look: Look) -> list[Guess]:
    """Opened to read, or made anew."""
    if look.facts().get("way") == "create":
        rows = (("not-found", 0.6), ("storage", 0.58), ("concurrency", 0.4))
    else:
        rows = (("corrupt", 0.6), ("not-found", 0.56), ("incomplete-save", 0.42))
    return without_message(*rows)(look)
