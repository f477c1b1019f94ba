"""What goes wrong with checkpoints, by label: one explanation and one remedy each, so that nothing is
explained twice.

Rules and diagnoses name a label; renderers show its text beside the finding. The labels are those by which
real failures are sorted in the project's corpus; the texts are ours, each drawn from failures reproduced
with the frameworks.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Cause", "CAUSES", "cause_of"]


class Cause(NamedTuple):
    """One cause: its label, a title, what it is and how it comes about, and what generally helps."""

    label: str
    title: str
    explanation: str
    remedy: str


_ROWS = (
    Cause(
        "missing-tensor",
        "The model wants a tensor that the checkpoint lacks",
        "The architecture, or the set of objects handed to the save call, was another one when the "
        "checkpoint was written. "
        "Lenient loaders (strict=False, expect_partial, restore without assert) leave such tensors at "
        "their initial value "
        "without a word.",
        "Compare the checkpoint with the model (`holdfast diff`), then build the model as it was, or "
        "allow an initial value "
        "for exactly these tensors.",
    ),
    Cause(
        "unexpected-tensor",
        "The checkpoint has tensors that the model lacks",
        "A layer was removed or frozen away, or a training checkpoint is loaded where only weights are "
        "expected.",
        "Load only the part that is meant (for instance the `state_dict` entry), or drop the surplus "
        "tensors by name.",
    ),
    Cause(
        "shape-mismatch",
        "A tensor has another shape than its place in the model",
        "A width, class count, vocabulary or kernel layout changed between saving and loading; some "
        "loaders only look at "
        "the number of elements, some at nothing.",
        "Rebuild the layer with the recorded shape, or convert the tensor on purpose (slice, pad, "
        "transpose).",
    ),
    Cause(
        "dtype-mismatch",
        "A tensor has another number type than its place in the model",
        "Precision policy or quantisation differ. Casting down silently turns large values into infinity "
        "and small ones "
        "into zero.",
        "Restore in the recorded type and cast afterwards, or allow the cast by name after checking the "
        "value range.",
    ),
    Cause(
        "renamed",
        "The same tensors under other names",
        "A wrapper (DataParallel, DDP, torch.compile, Lightning) prefixed the names, layers were "
        "numbered anew by the "
        "framework, or modules were moved.",
        "Map the names explicitly; unwrap the model before saving.",
    ),
    Cause(
        "optimizer-structure",
        "The optimizer's state does not fit the optimizer",
        "Slots are matched to weights by position or by name. Another class, another order of "
        "parameters, other groups "
        "or frozen layers pair a slot with the wrong weight, or none.",
        "Build the optimizer over the same parameters in the same order before restoring, or start it "
        "afresh on purpose.",
    ),
    Cause(
        "optimizer-hyperparameters",
        "Hyperparameters come back from the checkpoint, or do not",
        "Most loaders overwrite the learning rate of the running program with the recorded one; some "
        "record only a part.",
        "Set learning rate and schedule again after restoring if the new ones are meant, and print them.",
    ),
    Cause(
        "version-mismatch",
        "Another library version than the one that wrote the file",
        "File layouts, class paths and defaults changed between versions (torch.load's weights_only "
        "since 2.6, Keras 3's "
        "formats, numpy's private modules inside pickles).",
        "Load with the version that wrote the file and export to a neutral format, or use the documented "
        "option for old files.",
    ),
    Cause(
        "format-mismatch",
        "The wrong loader for this kind of file",
        "Endings mislead: a .h5, .pt, .ckpt or .bin file can be one of several formats, and frameworks "
        "choose the loader "
        "by ending.",
        "Let the content decide (`holdfast inspect`), then rename the file or call the loader of its "
        "real format.",
    ),
    Cause(
        "corrupt",
        "The bytes are not those that were written",
        "An interrupted transfer, a failing disk, a text-mode copy, or a web page or pointer saved in "
        "place of the file. "
        "Most formats carry no checksum, so that a damaged file may load without a word.",
        "Fetch the file again from where it was whole and compare size and digest; keep a seal beside "
        "what matters.",
    ),
    Cause(
        "incomplete-save",
        "The save did not finish",
        "The program was killed, the disk ran full, or only some of the files were copied. Formats that "
        "write in place "
        "lose the previous checkpoint as well.",
        "Use the previous checkpoint, or fetch the files that are missing; save to a new name and rename "
        "when it is whole.",
    ),
    Cause(
        "not-found",
        "Nothing lies at that path",
        "A prefix was taken for a file or the reverse, a step number is missing, or the run's folder was "
        "moved.",
        "Name the prefix without `.index` and `.data-…`; look at what the folder really holds (`holdfast "
        "FOLDER`).",
    ),
    Cause(
        "storage",
        "The storage refused",
        "Full disk, quota, permission, name length, network file systems that lock or rename in their "
        "own way.",
        "Free space or write elsewhere, then check that the last checkpoint is whole.",
    ),
    Cause(
        "memory",
        "Not enough memory",
        "Loading holds the file, the tensors and the model at once; on accelerators every process may do "
        "so on one device.",
        "Load to the CPU first, tensor by tensor or mapped, and move one copy to the device.",
    ),
    Cause(
        "device-mismatch",
        "Saved on a device that is not here",
        "PyTorch records the device of each storage and restores to it; a name like cuda:3 needs that "
        "device.",
        'Give `map_location="cpu"` (or the device that is there) to torch.load.',
    ),
    Cause(
        "topology",
        "Another number of processes or another sharding",
        "Shards written by N processes are only parts; loaded by another number of them, or one by one, "
        "rows are missing "
        "or stay at their initial value.",
        "Load with the same layout, or merge the shards with the tool of the framework that wrote them.",
    ),
    Cause(
        "concurrency",
        "Several writers or readers at once",
        "Processes or threads saved to one name, or one read while another wrote; files of two saves "
        "then stand side by side.",
        "Let one process save, with a barrier before and after; keep the newest checkpoint that verifies.",
    ),
    Cause(
        "async-save",
        "A background save failed or saw changing values",
        "The training went on while tensors were being copied or written, or the background error was "
        "never looked at.",
        "Wait for the snapshot before the next step and for the save before exit; look at its exception.",
    ),
    Cause(
        "unsafe-pickle",
        "The file wants to run code while it is loaded",
        "A pickle may name any function. torch.load refuses all but a short list by default since 2.6.",
        "Know where the file comes from; then allow exactly the classes named, or export only tensors "
        "(safetensors).",
    ),
    Cause(
        "custom-object",
        "A class or function that the loader does not know",
        "Configurations and pickles refer to code by name; it was moved, renamed, or is not imported.",
        "Import or register it before loading (custom_objects, register_keras_serializable), or load "
        "weights only.",
    ),
    Cause(
        "lazy-build",
        "Variables did not exist yet when the checkpoint was restored",
        "Layers that build on first call have no variables before; restoring then is deferred, or does "
        "nothing.",
        "Build the model (call it once on a batch, or build(shape)) before restoring.",
    ),
    Cause(
        "preprocessing",
        "The inputs are prepared otherwise than in training",
        "Normalisation, tokenizer, label map or resizing are no part of the checkpoint and drift from it "
        "unseen.",
        "Save the constants of preprocessing beside the weights and compare them at load.",
    ),
    Cause(
        "metrics",
        "The metric differs from the one that was logged",
        "A running training average, dropout or batch statistics in training mode, EMA weights, or the "
        "last instead of the "
        "best checkpoint.",
        "Evaluate at save time in inference mode on a fixed batch and compare with that.",
    ),
    Cause(
        "resume-state",
        "State that a resumed run needs is not in the checkpoint",
        "Random generators, position in the data, scheduler, gradient scaler or best metric were not saved.",
        "Save and restore them beside model and optimizer, or accept that the run is not a continuation.",
    ),
    Cause(
        "graph-lifecycle",
        "The graph or model changed around the save",
        "A finalised graph, a closed session, or layers changed after compiling.",
        "Build everything, then restore, then train; save from the same graph.",
    ),
    Cause(
        "size-limit",
        "A limit of the format",
        "2 GB protobufs, HDF5's 64 KB object header, attribute and name lengths.",
        "Save in shards, or in a format without that limit.",
    ),
    Cause(
        "unserialisable",
        "An object that cannot be saved",
        "Lambdas, locks, generators, open files and classes without get_config cannot be written.",
        "Save state (tensors and plain values), not the object.",
    ),
    Cause(
        "retention",
        "The checkpoint was deleted or overwritten while it was needed",
        "max_to_keep, save_best_only and fixed file names remove older states.",
        "Keep by rule, pin what is needed, and never overwrite the only good one.",
    ),
    Cause(
        "numerics",
        "The numbers themselves went wrong",
        "Training diverged, a value overflowed its type, or a part of the data was lost and reads as zeros.",
        "Go back to the last checkpoint whose values are finite; look at learning rate, loss scale and "
        "the data at that step.",
    ),
    Cause("other", "Something else", "None of the known mechanisms.", "Read the evidence of the finding."),
)

CAUSES: dict[str, Cause] = {row.label: row for row in _ROWS}


def cause_of(label: str | None) -> Cause | None:
    """The cause with that label, or ``None``."""
    return CAUSES.get(label or "")
