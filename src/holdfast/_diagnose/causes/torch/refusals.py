"""What ``torch.load`` and ``torch.save`` refuse before and while they read and write, and the restricted unpickler's own words.

Messages: torch/serialization.py, torch/_weights_only_unpickler.py, torch/storage.py, torch/multiprocessing/reductions.py.
"""

from __future__ import annotations

from ...first_bytes import AGAIN
from ...knowledge import Entry, Guess, Look, ranked
from ...wording import said


def of_the_settings(look: Look) -> list[Guess]:
    """Which of the ways to ask for weights_only contradicts it."""
    said_ = look.match[0].lower()
    why, remedy = look.entry.why, look.entry.remedy
    if "pickle_module" in said_:
        why = "weights_only=True and a `pickle_module` were both given, and the restricted reader uses no other pickle"
        remedy = "Leave `pickle_module` out; or, where you trust the file, `weights_only=False` with it."
    elif "torch_force" in said_:
        why = "both environment variables are set, and they say the opposite of each other"
        remedy = "`unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` (or the other one), and start again."
    rows = (("unsafe-pickle", 0.82), ("version-mismatch", 0.5), ("format-mismatch", 0.36))
    return [look.entry.guess(look, label, confidence=sure, why=why, remedy=remedy) for label, sure in rows]


def of_a_blocked_module(look: Look) -> list[Guess]:
    """Functions of the system are never let through, as no checkpoint needs them: such a file may be an attack."""
    if "blocked" not in look.match[0]:
        return [look.entry.guess(look)]
    why = "the file names `{what}`, of a module that runs commands: a checkpoint needs no such thing, and an attack does"
    remedy = (
        "Do not load it in any way, unless you saved it yourself. `holdfast FILE` lists what it would run; get the weights "
        "elsewhere, as safetensors."
    )
    facts = look.facts()
    return [look.entry.guess(look, confidence=0.97, why=said(why, facts), remedy=remedy)]


ENTRIES = (
    Entry(
        "restricted-unpickler-refuses",
        "unsafe-pickle",
        (
            "can only build tensor",
            "can only append to lists",
            "can only extend lists",
            "can only create new object for nn.parameter",
            "only persistent_load of storage is allowed",
            "for unrecognized function",
            "for unrecognized class",
            "for dict, collections.ordereddict",
            "must be imported to load",
            "must be tuple or int, but got",
            "whose module",
        ),
        r"Can only build Tensor, .{0,120}?but got (?P<what><class '[\w.]+'>)?"
        r"|Can only (?:append to|extend) lists|Can only create new object for nn\.Parameter"
        r"|Only persistent_load of storage is allowed|Trying to (?:call reduce|instantiate) .{0,20}?for unrecognized"
        r" (?:function|class)(?: (?P<what2>[^\n]{1,80}))?|Can only \w+ for dict, collections\.OrderedDict"
        r"|`torch\.[\w.]+`+(?: and `+torch\.[\w.]+`+)? must be imported to load"
        r"|persistent_load id must be tuple or int, but got"
        r"|unsupported GLOBAL (?P<what3>[\w.]+) whose module \w+ is blocked",
        why="the restricted unpickler (weights_only) builds tensors, dicts and lists only, and the file has more in it ({what})",
        remedy=(
            "`holdfast FILE` lists what the file names without running it; where you trust it, allow that class "
            "(`torch.serialization.add_safe_globals`), and save a plain state dict from now on."
        ),
        confirm="`holdfast FILE` lists the globals.",
        also=("version-mismatch", "format-mismatch"),
        weigh=of_a_blocked_module,
        weight=0.86,
        test="pickle",
        types=("UnpicklingError",),
        example="_pickle.UnpicklingError: Can only build Tensor, parameter or dict objects, but got <class 'net.Config'>",
    ),
    Entry(
        "restricted-load-settings",
        "unsafe-pickle",
        (
            "safely load weights when explicit pickle_module",
            "only one of `torch_force_weights_only_load`",
            "the weights_only unpickler might not support",
        ),
        "",
        why="the file was saved with another pickle protocol than torch's own, which the restricted reader may not know whole",
        remedy="Save it again with the default `pickle_protocol` (2), or where you trust it load it with weights_only=False.",
        weigh=of_the_settings,
        example="RuntimeError: Can not safely load weights when explicit pickle_module is specified",
    ),
    Entry(
        "not-what-torch-load-reads",
        "format-mismatch",
        (
            "expected input to be a checkpoint returned by torch.save",
            "in order to use the mmap argument",
            "mmap can only be used with files saved with",
            "loading safetensors file with",
            "to load a safetensors file but safetensors is not installed",
        ),
        r"Expected input to be a checkpoint returned by torch\.save|file path in order to use the mmap argument"
        r"|mmap can only be used with files saved with"
        r"|Loading safetensors file with (?:dict|callable) map_location"
        r"|to load a safetensors file but safetensors is not installed",
        why=(
            "the call reads another kind of file than this one, or only from a path: TorchScript, safetensors, the format "
            "before 1.6"
        ),
        remedy=(
            "`holdfast FILE` says what it is. TorchScript: `torch.jit.load`; safetensors: `safetensors.torch.load_file`; "
            "`mmap=True` "
            "wants a path and a file that torch 1.6 or newer has saved."
        ),
        weigh=ranked(("format-mismatch", 0.8), ("version-mismatch", 0.5), ("device-mismatch", 0.32)),
        test="whole",
        example="ValueError: Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint",
    ),
    Entry(
        "map-location-of-other-kind",
        "device-mismatch",
        (
            "map_location should be either none",
            "how to determine data location of",
            "how to restore data location of",
            "device module is not registered. if you are running",
        ),
        r"map_location should be either None, string or torch\.device"
        r"|don't know how to (?:determine|restore) data location of (?P<what>[\w.]+)(?: \(tagged with (?P<tag>[\w:.\-]+)\))?"
        r"|device module is not registered\. If you are running",
        why="the tensors are of a device that this PyTorch has no backend for ({tag}), or map_location names none",
        remedy=(
            "`torch.load(path, map_location='cpu')`; import the backend's package (torch_npu, torch_xla, torch_mlu) before "
            "the load "
            "where its device is wanted. `torch.jit.load` takes a device or its name, no dict."
        ),
        weigh=ranked(("device-mismatch", 0.88), ("version-mismatch", 0.5), ("format-mismatch", 0.3)),
        example="RuntimeError: don't know how to restore data location of torch.FloatStorage (tagged with npu:0)",
    ),
    Entry(
        "records-of-no-known-kind",
        "corrupt",
        (
            "unknown endianness type",
            "unknown typename for persistent_load",
            "unknown saved id type",
            "invalid serialized state:",
        ),
        r"Unknown endianness type|Unknown typename for persistent_load|Unknown saved id type"
        r"|(?:RuntimeError: |^)Invalid serialized state: \(",
        why="a record of the file says what no version of PyTorch writes: its bytes are damaged, or another program packed it",
        remedy=AGAIN,
        weigh=ranked(("corrupt", 0.72), ("format-mismatch", 0.6), ("version-mismatch", 0.5)),
        test="whole",
        example="ValueError: Unknown endianness type: b'lit'",
    ),
    Entry(
        "file-of-another-age",
        "version-mismatch",
        (
            "invalid protocol version",
            "minimum supported version for reading is",
            "unsupported archive format from the preview release",
            'expected hasrecord("version")',
            "supports dill >=",
            "pickle storage type",
            "deserialize quantized tensor with qscheme",
            "invalid torch.memory_format",
        ),
        r"(?:RuntimeError: |^)Invalid protocol version: \d+|minimum supported version for reading is (?P<least>\d+)"
        r"|unsupported archive format from the preview release|Expected hasRecord\(\"version\"\)"
        r"|'torch' supports dill >= (?P<dill>[\d.]+)|pickle storage type \S+ is not recognized"
        r"|deserialize quantized tensor with qscheme|Invalid torch\.memory_format",
        why="the file is of an age that this version no longer reads, or not yet",
        remedy=(
            "Load it with a PyTorch of its time and save it again there; or upgrade what reads it (`holdfast FILE` tells its "
            "age)."
        ),
        weigh=ranked(("version-mismatch", 0.84), ("format-mismatch", 0.5), ("corrupt", 0.46)),
        test="whole",
        example=(
            "RuntimeError: Attempted to read a PyTorch file with version 0, but the minimum supported version for reading is "
            "1."
        ),
    ),
    Entry(
        "archive-read-as-pickle",
        "format-mismatch",
        ("persistent ids in protocol 0 must be ascii",),
        "",
        why="the file begins with `PK`: it is an archive (torch.save since 1.6, .npz, .zip), and it is read as a plain pickle",
        remedy="Read it with `torch.load` of 1.6 or newer (or the tool that wrote it); `holdfast FILE` says what it is.",
        weigh=ranked(("format-mismatch", 0.78), ("version-mismatch", 0.68), ("corrupt", 0.4)),
        test="whole",
        example="_pickle.UnpicklingError: persistent IDs in protocol 0 must be ASCII strings",
    ),
    Entry(
        "class-without-its-source",
        "custom-object",
        ("retrieve source code for container", "missing source code of container"),
        "",
        why=(
            "a whole module is pickled, and its class was defined where no source file is (a notebook, a shell): only its "
            "name is saved"
        ),
        remedy="Save `model.state_dict()`; the class must be importable by that name wherever the file is loaded.",
        weigh=ranked(("custom-object", 0.8), ("unserialisable", 0.5), ("version-mismatch", 0.3)),
        example=(
            "UserWarning: Couldn't retrieve source code for container of type Net. It won't be checked for correctness upon "
            "loading."
        ),
    ),
    Entry(
        "storage-cannot-be-written",
        "unserialisable",
        (
            "view the same data as different types",
            "unsupported tensor quantization type in serialization",
        ),
        r"view the same data as different types|Unsupported tensor quantization type in serialization",
        why=(
            "PyTorch has no way to write this tensor's memory: it is seen as two number types, or of a quantised kind "
            "without a form in files"
        ),
        remedy="Save `tensor.clone()` in place of one of the views, or dequantise it first (`tensor.dequantize()`).",
        weigh=ranked(("unserialisable", 0.84), ("dtype-mismatch", 0.44), ("device-mismatch", 0.4)),
        example="RuntimeError: Cannot save multiple tensors or storages that view the same data as different types",
    ),
    Entry(
        "entry-is-no-tensor",
        "format-mismatch",
        ("expected torch.tensor or tensor-like object from checkpoint",),
        r"(?:named \"(?P<key>[\w.]+)\", )?expected torch\.Tensor or Tensor-like object from checkpoint"
        r"(?: but received (?P<kind><class '[\w.]+'>))?",
        why="what the file has under `{key}` is no tensor ({kind}): another library or a conversion wrote it",
        remedy="`torch.from_numpy(value)` for an array, before `load_state_dict`; unwrap an outer dict.",
        weigh=ranked(("format-mismatch", 0.82), ("dtype-mismatch", 0.5), ("shape-mismatch", 0.36)),
        test="entries",
        example='While copying the parameter named "fc.weight", expected torch.Tensor or Tensor-like object from checkpoint but '
        "received <class 'numpy.ndarray'>",
    ),
    Entry(
        "lazy-parameter-used",
        "lazy-build",
        ("attempted to use an uninitialized", "on an uninitialized parameter or buffer"),
        r"Attempted to use an uninitialized (?:parameter|buffer)|on an uninitialized parameter or buffer",
        why="a lazy layer has no weights before its first call, so that nothing can be copied into or out of them",
        remedy="Call the model once on a batch before it is saved, loaded or shared (`model(example)`).",
        weigh=ranked(("lazy-build", 0.86), ("missing-tensor", 0.4), ("shape-mismatch", 0.3)),
        example=(
            "ValueError: Attempted to use an uninitialized parameter in <built-in method copy_>. This error happens when "
            "you are using a `LazyModule`"
        ),
    ),
)
