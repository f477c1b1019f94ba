"""MXNet, PaddlePaddle, MindSpore, Ray: saved parameters and runs of frameworks that are met now and then.

Messages: mxnet/gluon/{block,parameter}.py and src/ndarray, paddle/framework/io.py and nn/layer, mindspore/train/serialization.py,
ray/{train,tune,rllib}.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone


def by_the_side(look: Look) -> list[Guess]:
    """Names that the file lacks, or that the net lacks."""
    said = look.match[0].lower()
    rows = (("missing-tensor", 0.92), ("renamed", 0.74), ("version-mismatch", 0.5))
    if "not present in" in said or "'parameter_dict' are not loaded" in said:
        rows = (("unexpected-tensor", 0.92), ("renamed", 0.74), ("version-mismatch", 0.5))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def of_an_engine(look: Look) -> list[Guess]:
    """An operator or plugin that the program has to bring, another version, or no engine at all."""
    facts, said = look.facts(), look.match[0].lower()
    rows = (("version-mismatch", 0.9), ("format-mismatch", 0.62), ("not-found", 0.5))
    if facts.get("mark") is not None:
        rows = (("format-mismatch", 0.86), ("corrupt", 0.8), ("version-mismatch", 0.4))
    elif "implementation for" in said:
        rows = (("version-mismatch", 0.86), ("custom-object", 0.66), ("dtype-mismatch", 0.5))
    elif facts.get("op"):
        rows = (("custom-object", 0.94), ("version-mismatch", 0.7), ("format-mismatch", 0.4))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "parameters-by-name",
        "missing-tensor",
        (
            "is missing in file",
            "is missing in 'params'",
            "is not present in this block",
            "is not present in parameterdict",
            "is not found in the provided dict",
            "because they are not in",
            "'parameter_dict' are not loaded",
        ),
        r"Parameter '?(?P<tensor>[\w.]+)'? is missing in (?:file '?[^\n]{0,200}?(?:, which contains|\.params)|'params')"
        r"|Parameter '?(?P<tensor2>[\w.]+)'? loaded from (?:file )?.{1,160}? is not present in (?:this block|ParameterDict)"
        r"|Skip loading for (?P<tensor3>[\w.]+)\. \S+ is not found in the provided dict"
        r"|\d+ parameters in the 'net' are not loaded, because they are not in"
        r"|remaining parameters in 'parameter_dict' are not loaded|\d+ parameters in the 'parameter_dict' are not loaded",
        why="the names of the file and of the net differ (`{tensor}`): another architecture, prefix or version",
        remedy="Compare both lists (`mx.nd.load(FILE)`, `mindspore.load_checkpoint(FILE)`); `allow_missing`, `ignore_extra` "
        "leave untrained what they skip.",
        weigh=by_the_side,
        test="names",
        example="AssertionError: Parameter 'conv0_weight' is missing in file 'net.params', which contains parameters: 'a'",
    ),
    Entry(
        "parameters-before-they-are",
        "lazy-build",
        (
            "has not been initialized. note that",
            "has not been initialized yet because initialization was deferred",
        ),
        r"Parameter '?(?P<tensor>[\w.]+)'? has not been initialized(?:\. Note that| yet because initialization was deferred)",
        why="`{tensor}` has no values yet: the block was saved, or set from a file, before its first call",
        remedy="Call the block once on a batch (or `initialize()`), then load; read `net.params` by `load_parameters`.",
        context=("load_", "restor", ".params'", "from_checkpoint", "checkpoint"),
        only_in=True,
        weigh=ranked(("lazy-build", 0.86), ("missing-tensor", 0.6), ("graph-lifecycle", 0.3)),
        test="names",
        example="net.load_parameters('net.params')\nRuntimeError: Parameter 'dense0_weight' has not been initialized. Note that",
    ),
    Entry(
        "paddle-tensor-version",
        "corrupt",
        ("tensor version", "only version 0 is supported"),
        r"tensor version (?P<version>\d+) is not supported, Only version 0",
        why="where the version of the format should stand, {version} stands: the file is cut, damaged, or another kind of file",
        remedy=(
            "Fetch it again and compare sizes; give `.pdparams` where parameters are read, not an archive "
            "or an exported model."
        ),
        weigh=ranked(("corrupt", 0.84), ("format-mismatch", 0.8), ("version-mismatch", 0.6)),
        test="whole",
        example="InvalidArgumentError: tensor version 4294967295 is not supported, Only version 0 is supported",
    ),
    Entry(
        "ray-checkpoint-none",
        "not-found",
        (
            "'nonetype' object has no attribute 'to_directory'",
            "'nonetype' object has no attribute 'as_directory'",
            "could not find tuner state",
            "'nonetype' object has no attribute 'to_dict'",
            "given checkpoint (",
            "given checkpoint does not seem",
        ),
        r"'NoneType' object has no attribute '(?:to_directory|as_directory)'"
        r"|(?:\bray[./]|get_checkpoint|\bTuner|best_result|\.checkpoint\b).{0,400}?'NoneType' object has no attribute 'to_dict'"
        r"|Could not find Tuner state|Given checkpoint \((?P<path>[^)]+)\) not found",
        why="the run has no checkpoint to give: none was reported, or it lies on another node or under another storage path",
        remedy="Report checkpoints (`train.report(metrics, checkpoint=…)`), to a `storage_path` that all nodes see.",
        weigh=ranked(("not-found", 0.84), ("incomplete-save", 0.6), ("storage", 0.58)),
        test="path",
        example="result.checkpoint.to_directory()\nAttributeError: 'NoneType' object has no attribute 'to_directory'",
    ),
    Entry(
        "engine-not-made",
        "version-mismatch",
        (
            "has no attribute 'create_execution_context'",
            "deserialize the cuda engine failed",
            "getplugincreator could not find",
            "unresolved custom op",
            "is not a registered function/op",
            "should be 'tfl3'",
            "could not find an implementation for",
            "no op registered for",
            "no opset import for domain",
        ),
        r"'NoneType' object has no attribute 'create_execution_context'|Deserialize the cuda engine failed"
        r"|getPluginCreator could not find plugin:? ?(?P<op>\w+)|unresolved custom op: (?P<op2>\w+)"
        r"|No Op registered for (?P<op5>\w+)|No opset import for domain"
        r"|(?P<op3>[\w.:]+)\([-\d]+\) is not a registered function/op|has model identifier '(?P<mark>[^']*)', should be 'TFL3'"
        r"|Could not find an implementation for (?P<op4>\w+)\(\d+\) node",
        why="the runtime cannot build what the file holds ({op}): another version, device or build of it wrote it",
        remedy=(
            "Build the engine anew on this machine; register the plugin or operator before the load, or "
            "convert for this runtime."
        ),
        where=loading_or_alone,
        weigh=of_an_engine,
        example="AttributeError: 'NoneType' object has no attribute 'create_execution_context'",
    ),
    Entry(
        "onnx-data-beside",
        "incomplete-save",
        ("deserialize tensor ", "but it doesn't exist"),
        r"Deserialize tensor (?P<tensor>\S+) failed\.? ?open file \"?(?P<path>[^\"\s]+)\"? failed|should be stored in "
        r"(?P<path2>\S+?), but it doesn't exist",
        why="the weights lie in a file beside the graph (`{path}`), and that file is not there",
        remedy="Copy both files into one folder, under their names; fetch the whole folder.",
        weigh=ranked(("incomplete-save", 0.95), ("not-found", 0.9), ("corrupt", 0.5)),
        test="whole",
        example='Deserialize tensor w failed.open file "model.onnx.data" failed: No such file or directory',
    ),
)
