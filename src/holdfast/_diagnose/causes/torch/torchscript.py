"""TorchScript: programs that are loaded with their weights (torch/csrc/jit, caffe2/serialize)."""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone

_AGAIN = (
    "Load with the version that saved (`holdfast FILE` names it) and export again; or build the "
    "model in code and load its weights."
)

ENTRIES = (
    Entry(
        "jit-graph-not-read",
        "version-mismatch",
        ("import_ir_module", "jit/import", "jit/serialization", "jit.load"),
        r"(?:import_ir_module|jit/import\w*\.cpp|jit/serialization/"
        r"|torch\.jit\.load).{0,400}?(?:RuntimeError|Error|assert failed)",
        why=(
            "the TorchScript program in the file cannot be read by this version: its code or its "
            "serialised graph is of another one"
        ),
        remedy=_AGAIN,
        also=("corrupt", "format-mismatch"),
        weight=0.56,
        example=(
            '  File "torch/jit/__init__.py", line 9, in load\n    torch._C.import_ir_module(lookup, '
            "f)\nRuntimeError: unknown builtin op"
        ),
    ),
    Entry(
        "jit-operator-unknown",
        "version-mismatch",
        (
            "unknown builtin op",
            "unknown type name '__torch__",
            "could not find any similar ops to",
            "legacy model format is not supported",
            "following operator could not be found",
            "following ops cannot be found",
            "operator registered in",
            "expected at most",
            "expected value of type",
            "unknown keyword argument",
            "arguments for call are not valid",
            "class type not defined",
        ),
        r"Unknown builtin op: (?P<op>[\w:.]+)|Unknown type name '(?P<type>__torch__[\w.]+)|Could not find any similar ops to"
        r"|Legacy model format is not supported|following (?:operator could not|ops cannot) be found"
        r"|expected at most \d+ arguments? but (?:got|found) \d+.{0,120}(?:__torch__|serialized|aten::|code/)"
        r"|Arguments for call are not valid.{0,300}(?:aten::|__torch__|serialized)|class type not defined",
        why=(
            "the saved program calls an operator or class ({op}) that this version, or this build without its "
            "library, does not have"
        ),
        remedy="Import the library that registers it (torchvision, a custom extension) before `torch.jit.load`. "
        + _AGAIN,
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("custom-object", 0.5), ("format-mismatch", 0.34)),
        example="RuntimeError: Unknown builtin op: aten::silu. Could not find any similar ops to aten::silu.",
    ),
    Entry(
        "jit-cannot-be-exported",
        "unserialisable",
        (
            "compiled functions can't take variable number",
            "tried to serialize object __torch__",
            "cannot serialize custom bound c++ class",
            "could not export python function",
            "object is not a scriptmodule",
            "torch.jit.",
            "scriptmodule",
        ),
        r"Compiled functions can't take variable number|Tried to serialize object (?P<what>__torch__[\w.]+)"
        r"|Cannot serialize custom bound C\+\+ class|Could not export Python function|object is not a ScriptModule"
        r"|(?:torch\.jit\.\w+|ScriptModules?)\W.{0,40}(?:not (?:be )?(?:support(?:ed)?|pickled?|picklable)|cannot be)",
        why="a part of the program cannot be written as TorchScript ({what})",
        remedy="Save `model.state_dict()`; or keep that part out of the script (`@torch.jit.unused`, `@torch.jit.ignore`).",
        where=loading_or_alone,
        also=("version-mismatch", "custom-object"),
        weight=0.78,
        example="RuntimeError: Could not export Python function call 'Swish'. Remove calls to Python functions before export.",
    ),
    Entry(
        "torch-stream-unreadable",
        "corrupt",
        ("istream reader failed", "reader failed: checking archive"),
        "",
        why=(
            "what was given to libtorch is no archive that it can read: nothing is at that path, or the "
            "file is damaged or of another kind"
        ),
        remedy="Check the path (and that the program may read it); `holdfast FILE` says what the file is.",
        also=("not-found", "format-mismatch", "incomplete-save"),
        weight=0.76,
        test="whole",
        example="istream reader failed: checking archive.",
    ),
)
