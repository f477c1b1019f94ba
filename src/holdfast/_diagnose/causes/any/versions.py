"""Libraries that changed: classes that are gone, attributes, number types."""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, loading_where
from ...where import alone


def whole_objects(look: Look) -> list[Guess]:
    """Any object may lack an attribute: here it must have come out of a file."""
    pickled = "modules/module.py" in look.reading.files and "pickle" in look.reading.lower
    return [look.entry.guess(look)] if pickled or "torch.load" in look.reading.lower else []


def of_saved_settings(look: Look) -> list[Guess]:
    """Settings that are of another version, or an object where a dict of settings is wanted."""
    if look.facts().get("kind"):
        why = "what was saved are not settings (a dict) but an object, `{kind}`".format_map(look.facts())
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.55, why=why),
            look.entry.guess(look, confidence=0.5),
        ]
    return [
        look.entry.guess(look, confidence=0.52),
        look.entry.guess(look, "custom-object", confidence=0.46),
        look.entry.guess(look, "other", confidence=0.3),
    ]


ENTRIES = (
    Entry(
        "hf-class-gone",
        "version-mismatch",
        (
            "unrecognized model in",
            "does not recognize this architecture",
            "unrecognized configuration class",
            "cannot import name",
            "must be a dictionary",
        ),
        r"does not recognize this architecture|Unrecognized (?:model in|configuration class)"
        r"|rope_scaling`? must be a dictionary|cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'",
        why="this version of the library does not know the model's class or setting ({name})",
        remedy="Install the version that the model's card names.",
        context=("transformers", "from_pretrained", "load", "checkpoint", "pickle"),
        only_in=True,
        also=("custom-object",),
        weight=0.78,
        weigh=loading_where("cannot import name"),
        example=(
            "ValueError: The checkpoint you are trying to load has model type `qwen9` but Transformers does not "
            "recognize this architecture."
        ),
    ),
    Entry(
        "quantised-mismatch",
        "dtype-mismatch",
        (
            "params4bit",
            "quant_state",
            "half",
            "unsupported scalartype",
            "scalar type",
            "expected",
            "mat1 and mat2 must have the same",
            "absmax",
        ),
        r"(?:expected (?:scalar type|dtype|m1 and m2) (?P<want>\w+) but (?:found|got) (?P<got>\w+))"
        r"|Got unsupported ScalarType (?P<kind>\w+)|(?:quant_state|Params4bit|absmax).{0,120}(?:missing"
        r"|unexpected|error|None|not)"
        r"|mat1 and mat2 must have the same dtype(?:, but got (?P<a>\w+) and (?P<b>\w+))?"
        r"|Input type .{0,30}Half.{0,80}should be the same",
        why="number types differ between the checkpoint's weights and what the program computes with ({want}, {got})",
        remedy="Cast the whole model after loading (`model.to(dtype)`), or load with the type that was saved.",
        context=("load", "checkpoint", "state_dict", "save", "from_pretrained", "numpy", "restor"),
        only_in=True,
        also=("version-mismatch",),
        weight=0.78,
        example="RuntimeError: expected scalar type Half but found Float (after load_state_dict of the checkpoint)",
    ),
    Entry(
        "torch-schema",
        "version-mismatch",
        ("unknown builtin op", "object has no attribute '_"),
        r"Unknown builtin op: (?P<op>[\w:.]+)|object has no attribute '(?P<attribute>_\w+)'(?=.{0,200}(?:forward"
        r"|_call_impl))",
        why="the saved object is of another version of the library: it lacks what this version's code reads ({op})",
        remedy="Load its state dict into a model that is built in code, with the version that saved.",
        context=("torch.load", "jit", "load"),
        only_in=True,
        also=("custom-object",),
        weight=0.7,
        example="RuntimeError: Unknown builtin op: torchvision::nms. torch.jit.load",
    ),
    Entry(
        "old-object-attribute",
        "version-mismatch",
        ("object has no attribute '",),
        r"'(?P<kind>[A-Z]\w*)' object has no attribute '(?P<attribute>_?\w+)'",
        why=(
            "a whole pickled `{kind}` was loaded, and this version's code wants an attribute (`{attribute}`) that it "
            "did not have when it was saved"
        ),
        remedy="Load the state dict into a model built in code; or use the version that saved.",
        calls=("__getattr__", "forward", "_call_impl"),
        context=("torch.load", "load_model", "unpickl", "checkpoint"),
        only_in=True,
        also=("custom-object", "format-mismatch"),
        weight=0.5,
        weigh=whole_objects,
        example="model = torch.load('m.pth')\nAttributeError: 'GELU' object has no attribute 'approximate'",
    ),
    Entry(
        "loader-keyword-unknown",
        "version-mismatch",
        ("is an invalid keyword argument for", "unexpected keyword argument '"),
        r"'(?P<name>\w+)' is an invalid keyword argument for (?:Unpickler|load|this function)"
        r"|\bload(?:_state_dict|_state_dict_from_url|_url)?\(\) got an unexpected keyword argument '(?P<name2>\w+)'",
        why="`{name}` is an argument of another version of the loader than the one that is installed",
        remedy=(
            "Take the argument out, or install the version that the program is written for (`weights_only`: "
            "torch 1.13, `assign`: 2.1)."
        ),
        also=("other", "unsafe-pickle"),
        weight=0.8,
        example="TypeError: 'weights_only' is an invalid keyword argument for Unpickler()",
    ),
    Entry(
        "checkpoint-function-argument",
        "version-mismatch",
        ("got an unexpected keyword argument '",),
        r"(?P<name>\w*(?:checkpoint|saver|save_|_save|load_model|load_from|from_pretrained|restore"
        r"|Trainer)\w*)(?:\.__init__)?\(\) got an"
        r" unexpected keyword argument '(?P<key>\w+)'"
        r"|ModelCheckpoint\(.{0,200}?got an unexpected keyword argument '(?P<key2>\w+)'"
        r"|got an unexpected keyword argument '(?P<key3>every_n_\w+|save_top_k|save_weights_only|checkpoint_callback"
        r"|resume_from_checkpoint|ckpt_path|map_location|strict|weights_only|save_last|max_to_keep|assign|mmap)'",
        why="`{key}` is no argument of `{name}` in the version that is installed",
        remedy="Install the version that the program is written for, or use the present name of the argument.",
        also=("other", "custom-object"),
        weight=0.78,
        example="TypeError: ModelCheckpoint.__init__() got an unexpected keyword argument 'every_n_weeks'",
    ),
    Entry(
        "constructor-argument-told-alone",
        "version-mismatch",
        ("__init__() got an unexpected keyword argument '", "argument after ** must be a mapping, not"),
        r"(?P<name>\w+)?\.?__init__\(\) got an unexpected keyword argument '(?P<key>\w+)'"
        r"|(?P<name2>[\w.]+)\(\) argument after \*\* must be a mapping, not (?P<kind>\w+)",
        why="the object is made anew from saved settings, and `{name}` does not take `{key}`: another version wrote them",
        remedy="Use the version of the code that saved; or drop the setting where the newer code has it built in.",
        where=alone,
        weigh=of_saved_settings,
        example="TypeError: Encoder.__init__() got an unexpected keyword argument 'rope_base'",
    ),
    Entry(
        "half-on-cpu",
        "dtype-mismatch",
        (
            "not implemented for 'half'",
            "not implemented for 'bfloat16'",
            "not implemented for 'float8",
            '" not implemented for',
        ),
        r"\"(?P<kernel>\w+)\" not implemented for '(?P<kind>Half|BFloat16|Float8\w*|Char|Byte)'",
        why="the weights were loaded as {kind}, for which this device has no such kernel",
        remedy="Load with `torch_dtype=torch.float32`, or cast: `model.float()`.",
        weight=0.66,
        also=("device-mismatch",),
        context=("load", "checkpoint", "from_pretrained", "model"),
        only_in=True,
        example="RuntimeError: \"LayerNormKernelImpl\" not implemented for 'Half' (model loaded from checkpoint)",
    ),
    Entry(
        "number-types-told-alone",
        "dtype-mismatch",
        ("half", "bfloat16", "float8", "fp16", "for 'qint", "for 'quint", "float16", "bias type"),
        r"\"\w+\" not implemented for '(?P<kind>Half|BFloat16|Float8\w*|(?:QInt|QUInt)\d+)'"
        r"|expected (?:scalar type|dtype|m1 and m2|mat1 and mat2)\D{0,40}\b(?P<a>Half|BFloat16|c10::Half)\b.{0,40}"
        r"|expected m1 and m2 to have the same dtype, but got: .{0,30}Half"
        r"|expected scalar type (?P<a2>Float|Double) but (?:found|got) (?:scalar type )?(?P<b>Half|BFloat16)"
        r"|Input type \((?P<a3>torch\.(?:cuda\.)?(?:Half|BFloat16|Float)\w*)\) and (?:weight|bias) type"
        r" \((?P<b2>torch\.(?:cuda\.)?(?:Half|BFloat16)\w*)\) should be the same"
        r"|Input type \((?:c10::)?(?P<a4>Half|BFloat16|float)\) and bias type|Attempting to unscale FP16 gradients"
        r"|type \(?(?:float16|float32|bfloat16)\)? and .{0,20}type \(?(?:float16|bfloat16|half)\)? do not match"
        r"|type \(?(?:float16|bfloat16|half)\)? and .{0,20}type \(?\w+\)? do not match",
        why="the weights are of another number type ({kind}{a}) than what the program computes with",
        remedy="Cast the whole model after loading (`model.float()` or `.to(dtype)`), or load with the type that is wanted.",
        where=alone,
        also=("version-mismatch", "device-mismatch"),
        weight=0.55,
        example="RuntimeError: expected scalar type Half but found Float",
    ),
    Entry(
        "lightning-migrate",
        "version-mismatch",
        ("pytorch-lightning_version", "upgrade_checkpoint", "automatically upgraded your loaded checkpoint"),
        r"upgrade_checkpoint|Lightning automatically upgraded your loaded checkpoint|pytorch-lightning_version",
        why="the checkpoint was written by another version of Lightning",
        remedy="`python -m lightning.pytorch.utilities.upgrade_checkpoint FILE` makes a copy in the present layout.",
        also=("format-mismatch", "missing-tensor"),
        weight=0.7,
        example="KeyError: 'pytorch-lightning_version'",
    ),
)
