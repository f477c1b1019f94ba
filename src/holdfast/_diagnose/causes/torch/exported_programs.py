"""Programs that PyTorch exports: TorchScript's records and bytecode, ``torch.export`` archives, ``torch.package``.

Messages: torch/csrc/jit/{serialization,mobile}, torch/export, torch/_export/serde, torch/package.
"""

from __future__ import annotations

from ...first_bytes import AGAIN
from ...knowledge import Entry, ranked

_EXPORT = "Export again with the version that is to load it, or load with the one that exported."

ENTRIES = (
    Entry(
        "script-pickle-of-python",
        "version-mismatch",
        (
            "expected proto opcode at the start",
            "only pickle protocol 2 is supported",
            "unexpected end of pickler archive",
            "found a tensor table reference",
        ),
        "",
        why=(
            "libtorch's own unpickler knows protocol 2 and the classes of TorchScript: another program or version wrote "
            "these records"
        ),
        remedy="Read it in Python with `torch.load`; for libtorch save it with `torch.jit.save` of a scripted module.",
        weigh=ranked(
            ("version-mismatch", 0.66), ("format-mismatch", 0.64), ("corrupt", 0.5), ("custom-object", 0.4)
        ),
        test="whole",
        example="RuntimeError: Only Pickle protocol 2 is supported, found protocol = 4",
    ),
    Entry(
        "script-class-unknown",
        "custom-object",
        (
            "unpickler found unknown torch global",
            "unknown custom class type",
            "find class id in custom class type map",
        ),
        r"Unpickler found unknown torch global,? '?(?P<what>[\w.]+)|Unknown custom class type"
        r"|find class id in custom class type map",
        why="the program names a class ({what}) that nothing has registered with this libtorch",
        remedy=(
            "Load the library that registers it before the program (`torch.ops.load_library`); or use the version that "
            "exported."
        ),
        weigh=ranked(("custom-object", 0.84), ("version-mismatch", 0.72), ("format-mismatch", 0.4)),
        example="RuntimeError: Unpickler found unknown torch global, 'torch.bfloat17'",
    ),
    Entry(
        "mobile-version",
        "version-mismatch",
        ("bytecode version", "lite interpreter vers"),
        r"bytecode version of (?:input|output) model stream is supposed to be|Expected model bytecode version"
        r"|Lite Interpreter vers\w+ number does not match(?!.{0,80}PytorchStreamReader)"
        r"|model bytecode version \S+ ?is (?:less|greater)",
        why="the mobile program's bytecode is of a version that this runtime does not read",
        remedy=_EXPORT,
        weigh=ranked(("version-mismatch", 0.9), ("format-mismatch", 0.46)),
        example="RuntimeError: Lite Interpreter version number does not match. The model version must be between 3 and 7",
    ),
    Entry(
        "mobile-not-one",
        "format-mismatch",
        ("bytecode.pkl", "failed to open .ptl file"),
        r"(?:locating file |file not found: \S*)bytecode\.pkl|Failed to open \.ptl file",
        why="the file has no bytecode: it was saved by `torch.jit.save` or `torch.save`, and the mobile runtime reads `.ptl`",
        remedy="Save it with `module._save_for_lite_interpreter(path)`, or load it with `torch.jit.load`.",
        weigh=ranked(("format-mismatch", 0.92), ("version-mismatch", 0.5), ("corrupt", 0.46)),
        example=(
            "RuntimeError: Lite Interpreter verson number does not match. PytorchStreamReader failed locating file "
            "bytecode.pkl"
        ),
    ),
    Entry(
        "flatbuffer-damaged",
        "corrupt",
        ("malformed flatbuffer module", "parsing flatbuffer module", "bytecode has no elements"),
        "",
        why="the mobile program's bytecode is not whole, or of another layout",
        remedy=AGAIN,
        weigh=ranked(("corrupt", 0.88), ("version-mismatch", 0.6), ("format-mismatch", 0.5)),
        example="RuntimeError: Malformed Flatbuffer module",
    ),
    Entry(
        "archive-lacks-a-part",
        "missing-tensor",
        ("no such serialized tensor", "no such serialized submodule"),
        r"No such serialized (?:tensor|submodule):? '(?P<key>[\w.]+)'",
        why="the archive has nothing under `{key}`, which the C++ module registers: built otherwise, or saved by Python",
        remedy=(
            "Register the same names as what was saved (`torch.jit.load(FILE).state_dict()` in Python shows them). Python state "
            "dicts are read by "
            "`torch::pickle_load`."
        ),
        weigh=ranked(("missing-tensor", 0.82), ("renamed", 0.6), ("format-mismatch", 0.48)),
        test="entries",
        example="No such serialized tensor 'fc.weight'",
    ),
    Entry(
        "exported-schema-version",
        "version-mismatch",
        (
            "does not match our current schema version",
            "saved archive version",
            "an error when deserializing the saved file",
            "version in the saved file has incorrect length",
            "deserialize for the older format",
        ),
        r"Serialized (?:schema )?version \S+ does not match our current schema version"
        r"|Saved archive version \S+ does not match our current"
        r"|an error when deserializing the saved file|Version in the saved file has incorrect length"
        r"|deserialize for the older format",
        why="the exported program was written with another version of torch.export's schema",
        remedy=_EXPORT
        + ' `unzip -p FILE \'*.json\' | grep -o \'"torch_version": *"[^"]*"\'` names it; keep a state dict beside it.',
        weigh=ranked(("version-mismatch", 0.9), ("format-mismatch", 0.5), ("corrupt", 0.4)),
        example="RuntimeError: Serialized version 5.3 does not match our current schema version 8.9.",
    ),
    Entry(
        "exported-archive-of-other-kind",
        "format-mismatch",
        (
            "not found in pt2 archive",
            "a buffer or a file ending in .pt2",
            "only torch.tensor is allowed in state_dict",
        ),
        r"not found in PT2 archive|a buffer or a file ending in \.pt2|only torch\.Tensor is allowed in state_dict",
        why="the file is no `.pt2` archive, or has no program of that name in it",
        remedy="`holdfast FILE` says what it is; `torch.export.save(program, 'm.pt2')` writes one.",
        weigh=ranked(("format-mismatch", 0.78), ("not-found", 0.6), ("version-mismatch", 0.46)),
        example="RuntimeError: Model encoder not found in PT2 archive contents.",
    ),
    Entry(
        "exported-record-size",
        "corrupt",
        ("is not a multiple of element size",),
        r"Record [^\s:]+: size \d+ is not a multiple of element size \d+",
        why="a record of the archive has another size than its number type allows: it is damaged or cut off",
        remedy=AGAIN,
        weigh=ranked(("corrupt", 0.94), ("dtype-mismatch", 0.5), ("format-mismatch", 0.48)),
        test="whole",
        example="ValueError: Record data/weights/weight_0: size 7 is not a multiple of element size 4 for dtype torch.float32",
    ),
    Entry(
        "exported-not-serialisable",
        "unserialisable",
        (
            "serializeerror",
            "unable to serialize custom class",
            "failed to serialize custom metadata",
            "is not supported in export serialization",
            "exporting a scriptmodule is not supported",
        ),
        r"serialize\.SerializeError: .{1,160}|Unable to serialize custom class|Failed to serialize custom metadata"
        r"|is not supported in export serialization|Exporting a ScriptModule is not supported",
        why="the program holds an operator, class or value that torch.export has no way to write",
        remedy="Save `model.state_dict()` as the checkpoint; register a serialiser for the class, or keep it out of the graph.",
        weigh=ranked(("unserialisable", 0.86), ("custom-object", 0.6), ("version-mismatch", 0.36)),
        example="torch._export.serde.serialize.SerializeError: Serializing <built-in function foo> is not supported",
    ),
    Entry(
        "package-lacks-a-module",
        "custom-object",
        (
            "match against any action pattern",
            "in self-contained archive",
            "has been disallowed",
            "inconsistent module structure",
            "packagingerror",
        ),
        r"match against any action pattern|in self-contained archive \"(?P<file>[^\"]+)\""
        r"|external module '(?P<module>[\w.]+)' but that"
        r" module has been disallowed|inconsistent module structure\. |torch\.\S*PackagingError",
        why=(
            "the package does not hold that module and does not name it as external ({module}), so that its classes are not "
            "found"
        ),
        remedy=(
            "`exporter.intern('pkg.**')` for your own code, `exporter.extern('numpy.**')` for what is installed where it is "
            "loaded; "
            "then package again."
        ),
        weigh=ranked(("custom-object", 0.84), ("version-mismatch", 0.44), ("incomplete-save", 0.36)),
        example="ImportError: package 'net.pt' needs the external module 'yaml' but that module has been disallowed",
    ),
)
