"""Libraries that changed: classes that are gone, attributes, number types."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look, loading_where


def whole_objects(look: Look) -> list[Guess]:
    """Any object may lack an attribute: here it must have come out of a file."""
    pickled = "modules/module.py" in look.reading.files and "pickle" in look.reading.lower
    return [look.entry.guess(look)] if pickled or "torch.load" in look.reading.lower else []


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
