"""TorchScript: programs that are loaded with their weights (torch/csrc/jit, caffe2/serialize)."""

from __future__ import annotations

from ..knowledge import Entry

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
        remedy=(
            "Load with the version that saved (`holdfast FILE` names it) and export again; or build the "
            "model in code and load its weights."
        ),
        also=("corrupt", "format-mismatch"),
        weight=0.56,
        example=(
            '  File "torch/jit/__init__.py", line 9, in load\n    torch._C.import_ir_module(lookup, '
            "f)\nRuntimeError: unknown builtin op"
        ),
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
