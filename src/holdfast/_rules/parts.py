"""F11: the files of one checkpoint among each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .._core.finding import Finding
from .._layouts.other_names import lies_as
from .registry import Rule, Subject, rule
from .words import count, quote

__all__: list[str] = []


@rule("F111", "part-missing", severity="error", cause="incomplete-save")
def part_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A file that belongs to the checkpoint is not there.

    A shard, the index or a metadata file is named by another file, or by its numbering, and does not lie
    beside it: ``.index`` without its ``.data-…``, one of ``model-00001-of-00003.safetensors`` not
    downloaded, a killed save. The tensors of the other files still read.

    Evidence: the name that is missing and who names it; the tensors it takes along.

    What to do: fetch exactly that file, or use the previous checkpoint. Where it lies beside it under another
    name (``model-00002-of-00003 (1).safetensors``, a download that did not finish), that is told: give it its
    name back.

    Example: remove ``model.ckpt-3.data-00000-of-00001``.
    """
    target = subject.target
    for fault in subject.faults_of("part-missing"):
        name = fault.file or ""
        part, size = fault.attributes.get("part"), fault.attributes.get("part_bytes")
        if isinstance(part, str) and name == target.store.shown(part):
            other = lies_as(target.store, part, size=size, not_among=target.parts)
            if other is not None:
                message = f"{fault.message}; {other.said}"
                yield rule.from_fault(replace(fault, message=message), remedy=other.remedy)
                continue
        remedy = fault.attributes.get("remedy") or (
            f"Fetch {quote(name)} from where the other files came from and put it there (a partial copy "
            f"or download is "
            "the usual reason); if the save was interrupted, use the previous checkpoint."
        )
        yield rule.from_fault(fault, remedy=remedy)


@rule("F112", "shards-mixed", severity="error", cause="concurrency")
def shards_mixed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The parts come from different saves.

    All files are there under the right names, but one of them belongs to another step or run: all tensors of
    one shard fail their checksums, or sizes and headers disagree. It comes about when a save over the same
    name was interrupted, when a download mixed revisions, or when two processes wrote. Formats without
    checksums load it without a word.

    Evidence: the shard and how many of its tensors disagree.

    What to do: fetch all parts of one revision again; keep the previous checkpoint.

    Example: copy shard 2 of step 100 over that of step 200.
    """
    for fault in subject.faults_of("shards-mixed"):
        yield rule.from_fault(
            fault,
            remedy=fault.attributes.get("remedy")
            or "Fetch all parts again from one revision; do not mix files of two saves under one name.",
        )


@rule("F113", "index-disagrees", severity="error", cause="incomplete-save")
def index_disagrees(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The index and the shards say different things.

    ``*.index.json`` maps a tensor to a file that does not hold it, leaves tensors out, or its ``total_size``
    is not the sum: index and shards are of two saves, or the model was changed and only partly written anew.
    Loaders that follow the index leave such tensors at their initial value.

    Evidence: the tensors and both statements.

    What to do: fetch index and shards of one revision; or write the index anew from the shards if these are
    right.

    Example: edit one file name in ``weight_map``.
    """
    for fault in subject.faults_of("index-disagrees"):
        yield rule.from_fault(
            fault,
            remedy=fault.attributes.get("remedy")
            or "Fetch the index and all shards again from one and the same revision.",
        )


@rule("F117", "two-saves", severity="warning", cause="concurrency")
def two_saves(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A second save lies beside it under the names that loaders look for.

    ``model.safetensors`` and ``model.safetensors.index.json`` in one folder, or shards ``-of-00004`` beside an index that
    names ``-of-00003``: a larger or differently sharded model was saved over an older one, or two were copied into one
    folder. Each is whole, so that no loader complains; which of them is loaded depends on the loader.

    Evidence: the files of both.

    What to do: `diff` both, and move the one that is not meant out of the folder.

    Example: ``save_pretrained(folder)``, then ``save_pretrained(folder, max_shard_size="1GB")``.
    """
    for fault in subject.faults_of("two-saves"):
        yield rule.from_fault(fault, remedy=fault.attributes.get("remedy"))


@rule("F114", "state-file-dangling", severity="warning", cause="not-found")
def state_file_dangling(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The state file names a checkpoint that is not there.

    TensorFlow's ``checkpoint`` file (or ``latest``) points at a step whose files were deleted, never
    finished or not copied. ``tf.train.latest_checkpoint`` then returns None, ``restore(None)`` is accepted,
    and the run starts at initial values without an error.

    Evidence: the name, and what lies beside it.

    What to do: name an existing checkpoint explicitly, or put its name in the state file.

    Example: delete ``ckpt-7.*`` and keep ``checkpoint``.
    """
    for fault in subject.faults_of("state-file-dangling"):
        remedy = fault.attributes.get("remedy")
        if remedy is None:
            where = quote(fault.file) if fault.file else "it"
            remedy = (
                f"Put the prefix of a checkpoint that exists in {where}, or give that prefix to "
                f"restore() itself."
            )
        nothing = subject.catalog is None  # not even an older one stands in for it
        yield rule.from_fault(fault, remedy=remedy, severity="error" if nothing else rule.severity)


@rule("F115", "state-file-moved", severity="note", cause="not-found")
def state_file_moved(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The state file holds absolute paths of another place; the files are here.

    The run's folder was moved or copied. TensorFlow follows the absolute path, does not find it and restores
    nothing.

    Evidence: the path recorded and where the files lie.

    What to do: replace the folder in the state file by relative names, or name the checkpoint explicitly.

    Example: copy a folder written with an absolute ``save_path`` to another machine.
    """
    for fault in subject.faults_of("state-file-moved"):
        remedy = fault.attributes.get("remedy")
        if remedy is None and fault.file:
            remedy = f"""Make its paths relative: `sed -i.bak -E 's#"(.*/)#"#' {quote(fault.file)}`"""
        yield rule.from_fault(fault, lossless=True, remedy=remedy)


@rule("F116", "leftover", severity="note", cause="incomplete-save")
def leftover(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Files of an interrupted save lie beside the checkpoint.

    TF's ``…_temp`` folders and ``.tempstate`` files, ``.tmp`` beside safetensors, Orbax' temporary folders,
    an HDF5 file still marked as open: a save was cut off, or one is running. So is a copy under the name that rsync or
    the AWS tools give to it until it is whole. The checkpoints beside them are not harmed.

    Evidence: their names.

    What to do: make sure no run is writing, then delete them.

    Example: kill a program during ``tf.train.Checkpoint.write``.
    """
    found = list(subject.faults_of("leftover"))
    if len(found) > 3:
        files = [f.file for f in found if f.file]
        yield rule.finding(
            f"{count(len(found), 'file')} of interrupted saves lie beside it",
            file=files[0] if files else None,
            seen=files[:20],
            remedy="When no run is writing here: `rm -r -- " + " ".join(map(quote, files[:20])) + "`",
        )
        return
    for fault in found:
        remedy = fault.attributes.get("remedy")
        if remedy is None and fault.file:
            remedy = f"When no run is writing here: `rm -r -- {quote(fault.file)}`"
        yield rule.from_fault(fault, remedy=remedy)
