"""F1: the bytes of the files a checkpoint is made of."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from .._core.fault import Fault
from .._core.finding import Finding
from .registry import Rule, Subject, rule
from .words import count, few, quote

__all__: list[str] = []

AGAIN = (
    "Fetch the file again from where it was whole and compare sizes and digests; else use the "
    "previous checkpoint."
)


def _reader(fault: Fault) -> str | None:
    """The remedy that the reader itself proposed."""
    return fault.attributes.get("remedy")


@rule("F101", "truncated", severity="error", cause="corrupt")
def truncated(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Bytes that the format promises are not in the file.

    The header, directory or index names a range that ends behind the file's last byte. It comes about when a
    download or copy breaks off, when the disk ran full, or when the program was killed while it wrote in
    place. Tensors that lie before the cut still read; those behind it are lost.

    Evidence: the range demanded and the file's size.

    What to do: fetch the file again (a resumable download goes on where it stopped), or fall back to the
    previous checkpoint. There is no way to get the missing bytes out of this file.

    Example: ``head -c 500000 model.safetensors > cut.safetensors`` and examine the result.
    """
    for fault in subject.faults_of("truncated"):
        where = quote(fault.file or subject.target.path)
        yield rule.from_fault(
            fault,
            remedy=_reader(fault)
            or "If it was written here, the save was cut off: use the previous checkpoint. If it was "
            f"downloaded or copied, fetch it again; a download can resume: `curl -C - -o {where} URL`",
        )


@rule("F102", "checksum", severity="error", cause="corrupt", remedy=AGAIN)
def checksum(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The bytes contradict a checksum.

    The file (TF: crc32c of every tensor and index block; zip formats: CRC-32 of every member) or evidence
    beside it (a seal, ``.sha256``, a hash in the file's name) says other bytes were written here. One
    flipped bit is enough. PyTorch never compares the CRC-32 it writes, so such a file loads there without a
    word and with wrong values.

    Evidence: the checksum recorded and the one computed, the range they cover.

    What to do: fetch the file again or restore it from a backup; do not train on from it. Check memory and
    disk of the machine if it recurs.

    Example: flip one bit in the middle of a ``.pt`` file; ``torch.load`` accepts it.
    """
    for fault in subject.faults_of("checksum"):
        yield rule.from_fault(fault, remedy=_reader(fault) or AGAIN)


@rule("F103", "malformed", severity="error", cause="corrupt", remedy=AGAIN)
def malformed(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The structure contradicts the format.

    A header that is not JSON, an offset table that points nowhere, a pickle that ends in the middle, a shape
    that does not fit its bytes. Either the bytes were changed, or a program wrote something that its own
    format does not allow.

    Evidence: place, what was expected there and what stands there.

    What to do: fetch the file again; where the writing program is at fault, read the file with the same
    version of it and export to another format.

    Example: overwrite the first bytes of the header of a safetensors file.
    """
    for fault in subject.faults_of("malformed"):
        yield rule.from_fault(fault, remedy=_reader(fault) or AGAIN)


@rule("F104", "limit", severity="error", cause="corrupt")
def limit(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A size, count or depth that no honest file has.

    Reading on would cost memory or time without bound: a member that unpacks to a thousand times its size, a
    header longer than the file, nesting thousands deep. Damage in a length field looks the same as an
    attack.

    Evidence: the number found and the limit.

    What to do: do not load this file with its framework either. Ask where it comes from; fetch it again.

    Example: a zip bomb named ``model.pt``.
    """
    for fault in subject.faults_of("limit"):
        yield rule.from_fault(
            fault,
            remedy=_reader(fault)
            or "Do not load it with its framework; fetch it again from a source you trust.",
        )


@rule("F105", "trailing-bytes", severity="warning", cause="corrupt")
def trailing_bytes(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Bytes behind the end of the format's content.

    Everything that the header describes is there, and something follows it: a second file appended, the rest
    of a longer file that was overwritten, or a transfer that added a footer. Readers that check refuse the
    file (safetensors), others do not look (torch).

    Evidence: where the content ends and how long the file is.

    What to do: cut the file at the end of its content, after a look at what follows it.

    Example: ``cat model.safetensors note.txt > joined.safetensors``.
    """
    for fault in subject.faults_of("trailing-bytes"):
        remedy = _reader(fault)
        if remedy is None and fault.offset and fault.file:
            remedy = (
                "Look at what follows; to leave exactly the checkpoint (after a copy): "
                f"`truncate -s {fault.offset} {quote(fault.file)}`"
            )
        yield rule.from_fault(fault, lossless=True, remedy=remedy)


@rule("F106", "overlap", severity="error", cause="corrupt")
def overlap(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two tensors (or members) claim the same bytes although the format forbids it.

    At most one of them can be right. An honest writer does not produce this; a damaged offset or a crafted
    file does.

    Evidence: both claims.

    What to do: fetch the file again; trust neither tensor.

    Example: a safetensors header in which two ``data_offsets`` ranges cross.
    """
    for fault in subject.faults_of("overlap"):
        yield rule.from_fault(fault, remedy=_reader(fault) or AGAIN)


@rule("F107", "hole", severity="warning", cause="corrupt")
def hole(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Bytes of the payload that no tensor claims.

    The format wants tensors to tile the payload, and between two of them lies a range that belongs to none.
    All listed tensors read; a tensor may have been taken out of the header by hand, or an offset is wrong.
    The safetensors library refuses such a file.

    Evidence: the range.

    What to do: write the tensors anew with the library that made them, or fetch the file again.

    Example: delete one entry from a safetensors header.
    """
    for fault in subject.faults_of("hole"):
        yield rule.from_fault(
            fault, remedy=_reader(fault) or "Fetch the file again, or write its tensors to a new file."
        )


@rule("F108", "duplicate-key", severity="warning", cause="corrupt")
def duplicate_key(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """One name stands twice in a header or directory.

    Readers disagree on which of the two wins: JSON parsers mostly take the last, zip readers the last or the
    first. What one program checks may thus differ from what another loads.

    Evidence: the name and both places.

    What to do: find out which is meant, and write the file anew with one of them.

    Example: a zip archive with two members ``archive/data.pkl``.
    """
    for fault in subject.faults_of("duplicate-key"):
        yield rule.from_fault(
            fault,
            remedy=_reader(fault)
            or "Write the file anew with one of the two; do not trust it if you did not make it.",
        )


@rule("F131", "not-stored", severity="note", cause="incomplete-save")
def not_stored(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A tensor is described, and its bytes are not in the file.

    PyTorch writes tensors of the meta device and files saved under ``skip_data`` so: shape and dtype without
    values. DeepSpeed stage 3 leaves 0-element placeholders. Loading gives no values, or whatever was in
    memory.

    Evidence: the tensors' names.

    What to do: take the values from the checkpoint that holds them (the other ranks' files), or materialise
    the model before saving.

    Example: ``torch.save({"w": torch.empty(3, device="meta")}, "m.pt")``.
    """
    faults = list(subject.faults_of("not-stored"))
    if len(faults) <= 3:
        for fault in faults:
            yield rule.from_fault(fault)
        return
    names = tuple(dict.fromkeys(n for f in faults for n in (f.tensors or ((f.tensor,) if f.tensor else ()))))
    yield rule.finding(
        f"{count(len(names) or len(faults), 'tensor')} without bytes: {few(names)}",
        file=faults[0].file,
        tensors=names,
    )


@rule("F109", "unreadable", severity="error", cause="storage")
def unreadable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The system would not give the bytes.

    Opening or reading failed with an error of the operating system: no permission, a bad sector, a network
    file system that went away, a folder or device in the file's place. Nothing is known of the content.

    Evidence: the system's message, and the offset where reading stopped.

    What to do: look at permissions (``ls -l``) and the system's log (``dmesg``); copy the file elsewhere
    while it reads.

    Example: ``chmod 000 model.pt``.
    """
    for fault in subject.faults_of("unreadable"):
        path = quote(fault.file or subject.target.path)
        if os.strerror(errno.EACCES) in fault.message:
            remedy = f"`ls -l {path}` shows whose it is: ask for the right to read it, or run as its owner."
        else:
            remedy = f"Look at `ls -l {path}` and `dmesg`; copy the file elsewhere while it reads."
        yield rule.from_fault(fault, remedy=_reader(fault) or remedy)


@rule("F110", "seal-damaged", severity="warning", cause="corrupt")
def seal_damaged(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The seal beside the checkpoint cannot be trusted.

    The ``.holdfast.json`` file is no seal, or its own digest does not fit its content. It proves nothing
    then; the checkpoint itself may be whole. In a step of a vault, whose record is its seal and lies there
    twice, one of the two is damaged; the other was used, and nothing is lost. So it is with a line of its
    ``metrics.jsonl``: metrics that were added after the save, each line with a digest of its own.

    Evidence: what is wrong with it.

    What to do: fetch the seal from where it was written; seal anew only what is known to be whole. Of a step's two
    records, copy the whole one over the other: they are the same byte for byte.

    Example: edit a digest in a seal.
    """
    for fault in subject.faults_of("seal-damaged"):
        yield rule.from_fault(fault, remedy=_reader(fault))
