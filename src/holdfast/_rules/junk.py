"""F12: files that are no checkpoint, or not yet, or under the wrong name."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .registry import Rule, Subject, rule
from .words import quote

__all__: list[str] = []


def _handed_on(rule: Rule, subject: Subject, remedy: str) -> Iterator[Finding]:
    """Findings of the faults of the rule's own slug; ``{file}`` in the remedy becomes the quoted path."""
    for fault in subject.faults_of(rule.slug):
        path = quote(fault.file or subject.target.path)
        text = fault.attributes.get("remedy") or remedy.replace("{file}", path)
        yield rule.from_fault(fault, remedy=text, file=fault.file or subject.target.path)


@rule("F121", "half-download", severity="error", cause="corrupt")
def half_download(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A download that was not finished.

    Browsers, aria2, the Hugging Face hub client and others write to ``.part``, ``.crdownload``,
    ``.incomplete``, ``.aria2`` names and rename at the end. The file under such a name is a beginning only,
    even where its size is full (some reserve it in advance).

    Evidence: the name, and the control file beside it.

    What to do: let the same tool resume.

    Example: interrupt ``huggingface-cli download`` and look into its cache.
    """
    yield from _handed_on(
        rule, subject, "Resume the download with the tool that began it; then examine the finished file."
    )


@rule("F122", "html-page", severity="error", cause="corrupt")
def html_page(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A web page lies where a checkpoint should be.

    The address led to a page about the file, a log-in form or a warning ("file too large to scan"), and the
    page was saved under the checkpoint's name. torch.load then speaks of an invalid load key '<'.

    Evidence: the first bytes, and the page's title where it has one.

    What to do: download the raw file: on GitHub ``/raw/`` (or media.githubusercontent.com) in place of
    ``/blob/``, on the Hugging Face hub ``/resolve/`` in place of ``/blob/``, for Google Drive a client that
    confirms the warning (gdown).

    Example: ``curl -O https://github.com/OWNER/REPO/blob/main/model.pt``.
    """
    yield from _handed_on(
        rule,
        subject,
        "Download the raw file again: GitHub /raw/ and Hugging Face /resolve/ instead of /blob/, `gdown "
        "ID` for Google "
        "Drive, a token where a log-in is asked; check with `head -c 200 {file}`.",
    )


@rule("F123", "lfs-pointer", severity="error", cause="corrupt")
def lfs_pointer(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A Git-LFS pointer lies where the file itself should be.

    The repository was cloned without Git LFS (or with GIT_LFS_SKIP_SMUDGE=1): the small text names the real
    file by its sha256 and size. Nothing is lost; the content only has to be fetched.

    Evidence: oid and size that the pointer names.

    What to do: ``git lfs pull --include <path>`` in the clone.

    Example: ``GIT_LFS_SKIP_SMUDGE=1 git clone`` of a model repository.
    """
    for fault in subject.faults_of(rule.slug):
        path = fault.file or subject.target.path
        name = path.replace("\\", "/").rsplit("/", 1)[-1]
        yield rule.from_fault(
            fault,
            file=path,
            remedy=fault.attributes.get("remedy")
            or f"In the clone: `git lfs install && git lfs pull --include {quote(f'**/{name}')}`",
        )


@rule("F124", "empty-file", severity="error", cause="incomplete-save")
def empty_file(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file has no bytes.

    It was created and never written: the disk was full, the save was killed at its start, or a copy failed.
    Loaders report EOFError or an index out of range.

    Evidence: size 0.

    What to do: use the previous checkpoint; free space before saving again.

    Example: ``: > model.pt``.
    """
    yield from _handed_on(
        rule,
        subject,
        "Use the previous checkpoint or fetch the file again; look whether the disk is full (`df -h "
        "{file}`).",
    )


@rule("F125", "zero-file", severity="error", cause="corrupt")
def zero_file(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file consists of zero bytes.

    Its length was reserved and the content never arrived: power loss before the data reached the disk, a
    download tool that preallocates, a file system that lost extents. torch.load calls it a legacy tar file.

    Evidence: the size, and that the bytes looked at are all zero.

    What to do: use the previous checkpoint or fetch the file again; nothing can be got out of it.

    Example: ``truncate -s 1M model.pt``.
    """
    yield from _handed_on(
        rule, subject, "Use the previous checkpoint or fetch the file again; it holds nothing but zeros."
    )


@rule("F126", "text-mode-copy", severity="error", cause="corrupt")
def text_mode_copy(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file went through a text conversion.

    Bytes from 0x80 up were replaced by ``?`` or by the UTF-8 replacement mark (EF BF BD), or line ends were
    changed: FTP in ASCII mode, git with autocrlf, a program that read it as text and wrote it again. What
    was replaced cannot be had back (line ends sometimes can).

    Evidence: which bytes are absent or too frequent.

    What to do: transfer it again in binary mode (``*.pt binary`` in .gitattributes, ``binary`` in ftp).

    Example: ``open("m.pt", "rb").read().decode("utf-8", "replace")`` written back.
    """
    yield from _handed_on(
        rule,
        subject,
        "Transfer the original again in binary mode (ftp: `binary`; git: `*.pt binary` in "
        ".gitattributes; never open it as "
        "text); this copy cannot be repaired.",
    )


@rule("F127", "error-document", severity="error", cause="corrupt")
def error_document(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An error message of a server lies where a checkpoint should be.

    A JSON, XML or text answer ("AccessDenied", "NoSuchKey", "Repository not found") was saved under the
    file's name because the download did not look at the status (curl without ``--fail``).

    Evidence: the beginning of the message.

    What to do: read the message, get access or the right address, and download again with ``curl --fail``.

    Example: ``curl -o model.pt`` of a private object.
    """
    yield from _handed_on(
        rule,
        subject,
        "Read its text (`head -c 500 {file}`), get the right address or access, and use `curl --fail -L "
        "-O URL`.",
    )


@rule("F128", "not-recognised", severity="error", cause="format-mismatch")
def not_recognised(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The content belongs to no checkpoint format that Holdfast knows.

    The decision is made by content, never by the ending. The file may be of another kind (a picture, a text,
    an archive of something else), encrypted, compressed once more, or damaged in its first bytes.

    Evidence: the first bytes.

    What to do: look at it with ``file``; unpack it if it is compressed; fetch it again if it should be a
    checkpoint.

    Example: ``holdfast photo.jpg``.
    """
    yield from _handed_on(
        rule,
        subject,
        "Look what it is (`file {file}`); unpack it if it is compressed, fetch it again if it should be "
        "a checkpoint.",
    )


@rule("F129", "wrong-extension", severity="warning", cause="format-mismatch")
def wrong_extension(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file's ending belongs to another format than its content.

    Frameworks choose the loader by the ending: Keras reads ``.keras`` as a zip and ``.h5`` as HDF5 whatever
    the content is, and says that the file cannot be found or opened. The content is fine.

    Evidence: the ending, the format found.

    What to do: rename the file, or call the loader of its real format.

    Example: an HDF5 file saved as ``model.keras`` by an old version.
    """
    yield from _handed_on(rule, subject, "Rename a copy of the file to an ending of its real format.")
