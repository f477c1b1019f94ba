"""E1: what the file asks of the library, version and device that load it, as far as the file alone tells."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.dtypes import DTYPES
from .._core.finding import Finding
from .._facts.versions import fact
from .registry import Rule, Subject, rule
from .words import count, few

__all__: list[str] = []


@rule("E101", "not-readable", severity="note", cause="format-mismatch")
def not_readable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A format that Holdfast knows by name and cannot read (yet).

    The content is of a known kind (TorchScript, GGUF, ONNX, Orbax, …) for which there is no reader here.
    Nothing was found wrong, and nothing was looked at but the head.

    Evidence: the format's name.

    What to do: the remedy names the program that reads it.

    Example: ``holdfast model.gguf``.
    """
    target = subject.target
    hint = target.format.advice(target.path, folder=target.main is None) if target.format else None
    for fault in subject.faults_of("not-readable"):
        given = fault.attributes.get("remedy")
        yield rule.from_fault(fault, remedy=given or hint, file=fault.file or target.path)


@rule("E102", "version", severity="note", cause="version-mismatch")
def version(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The writer's version is known to matter for loading.

    The reader recognised a layout that newer or older versions of the framework do not take, or take
    otherwise.

    Evidence: the version or layout found.

    What to do: as the remedy says; exporting to a neutral format with the writing version always works.

    Example: a sparse tensor in the legacy stream of PyTorch 1.4, which no version reads back.
    """
    for fault in subject.faults_of("version"):
        yield rule.from_fault(fault)


@rule("E103", "device-tag", severity="note", cause="device-mismatch")
def device_tag(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Storages are tagged with an accelerator.

    PyTorch restores each storage to the device it was saved from; ``cuda:3`` on a machine without it fails
    with "Attempting to deserialize object on a CUDA device". The values are not affected.

    Evidence: the devices named.

    What to do: ``torch.load(path, map_location="cpu")``.

    Example: ``torch.save(model.cuda().state_dict(), path)``.
    """
    faults = list(subject.faults_of("device-tag"))
    devices = list(
        dict.fromkeys(
            str(f.attributes.get("device") or f.attributes.get("devices") or f.seen) for f in faults
        )
    )
    if faults:
        first = faults[0]
        yield rule.finding(
            first.message if len(faults) == 1 else f"storages are tagged with {few(devices)}",
            file=first.file,
            tensors=tuple(dict.fromkeys(n for f in faults for n in f.tensors)),
            seen=devices,
            remedy='Without that device: `torch.load(path, map_location="cpu")`. Holdfast reads and restores the file '
            "whatever devices there are.",
        )


@rule("E104", "pickle-protocol", severity="note", cause="version-mismatch")
def pickle_protocol(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The pickle's protocol is one that the weights-only loader does not know.

    ``torch.save(..., pickle_protocol=4)`` writes opcodes (FRAME, MEMOIZE, STACK_GLOBAL) that
    ``torch.load(weights_only=True)``, the default since 2.6, refuses as unsupported operands.

    Evidence: the protocol.

    What to do: load once with ``weights_only=False`` if you trust the file, save again with the default
    protocol.

    Example: ``torch.save(state, path, pickle_protocol=5)``.
    """
    if subject.catalog is None or not subject.catalog.format.startswith("torch"):
        return
    protocol = subject.catalog.attributes.get("pickle_protocol", subject.catalog.attributes.get("protocol"))
    if isinstance(protocol, int) and protocol >= 4:
        row = fact("weights-only-protocol")
        yield rule.finding(
            f"pickle protocol {protocol}: {row.text}",
            file=subject.target.path,
            seen=protocol,
            expected=2,
            remedy=row.remedy,
        )


@rule("E105", "numpy-module", severity="note", cause="version-mismatch")
def numpy_module(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The pickle names numpy's private modules of one era.

    numpy moved ``numpy.core`` to ``numpy._core`` in version 2. A pickle with the new name fails under numpy
    before 1.26 ("No module named 'numpy._core'"); one with the old name still loads everywhere.

    Evidence: the module named.

    What to do: load with numpy 1.26 or newer, and save plain Python numbers or tensors next time.

    Example: ``torch.save({"best": np.float64(0.9)}, path)`` under numpy 2.
    """
    names = [str(f.attributes.get("module", "")) for f in subject.faults_of("pickle-global")]
    names += subject.catalog.pickle_globals if subject.catalog is not None else ()
    new = [n for n in names if n.startswith("numpy._core")]
    if new:
        row = fact("numpy-core")
        yield rule.finding(row.text, file=subject.target.path, seen=new[0], remedy=row.remedy)


@rule("E106", "keras3-refuses", severity="note", cause="version-mismatch")
def keras3_refuses(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Keras 3 does not load this kind of file.

    SavedModel folders and TF-format weight checkpoints of Keras 2 (``model.save_weights("ckpt")``) are
    refused by Keras 3 by their form alone, although they are whole; files of Keras 1 are no longer
    converted.

    Evidence: format, and the names that tell Keras' own layout.

    What to do: TFSMLayer or tf.saved_model.load for SavedModels, tf.train.Checkpoint or Keras 2 for weights.

    Example: ``keras.models.load_model("saved_model_folder")`` under Keras 3.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    key = None
    if catalog.format == "savedmodel":
        key = "keras3-savedmodel" if any("layer_with_weights-" in s.key for s in catalog.values()) else None
    elif catalog.format == "tf-bundle" and any(
        s.key.startswith("layer_with_weights-") for s in catalog.values()
    ):
        key = "keras3-tf-weights"
    elif catalog.format == "keras-h5-legacy" and str(catalog.attributes.get("keras_version", "")).startswith(
        "1."
    ):
        key = "keras1"
    if key:
        row = fact(key)
        yield rule.finding(row.text, file=subject.target.path, seen=catalog.format, remedy=row.remedy)


@rule("E107", "sub-byte-types", severity="note", cause="version-mismatch")
def new_types(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Tensors of number types that older versions of the framework do not know.

    float8, int4 and float4 came with PyTorch 2.1 to 2.7, TensorFlow 2.14 to
    2.15 and recent safetensors; an older reader fails on the whole file, not only on that tensor.

    Evidence: the types.

    What to do: update the loading library, or cast on export.

    Example: an FP8 model opened with safetensors 0.3.
    """
    if subject.catalog is None or subject.catalog.format in ("npz", "npy"):
        return
    rows = ((dtype, DTYPES.get(dtype)) for dtype in {s.dtype for s in subject.catalog.values()})
    kinds = sorted(
        dtype
        for dtype, row in rows
        if row and row.kind in "fiu" and (row.bits < 8 or (row.bits == 8 and row.kind == "f"))
    )
    if kinds:
        odd = [s for s in subject.catalog.values() if s.dtype in kinds]
        yield rule.finding(
            f"{count(len(odd), 'tensor')} in {few(kinds)}: older versions of the framework cannot open "
            f"the file",
            tensor=odd[0].name,
            seen=kinds,
            remedy="Update the library that loads it, if it reports an unknown dtype.",
        )
