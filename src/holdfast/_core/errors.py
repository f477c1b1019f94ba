"""What Holdfast raises.

Every error says what happened, where, what was expected and found, and what to do next::

    HoldfastError
    ├── CheckpointNotFound      (FileNotFoundError)  nothing lies at that path
    ├── NotRecognised           (ValueError)         the content is no checkpoint format we know
    ├── NotReadable             (NotImplementedError) a known format whose reader does not exist (yet)
    ├── AmbiguousPath           (ValueError)         the path holds several checkpoints; name one
    ├── DamagedCheckpoint       (ValueError)         the bytes contradict the format
    │   ├── Truncated           (EOFError too)       bytes that the format promises are not there
    │   ├── ChecksumMismatch                         the bytes contradict the file's own checksum
    │   ├── PartMissing         (FileNotFoundError)  a shard, index or metadata file is not there
    │   └── LimitExceeded                            a size or depth no honest file has
    ├── UnknownTensor           (KeyError)           no tensor of that name
    ├── AmbiguousTensor         (KeyError)           several tensors answer to that name
    ├── NotStored               (ValueError)         the tensor is described but has no readable bytes
    ├── PlanError               (ValueError)         an edit that cannot be parsed or applied
    ├── SealError               (ValueError)         a seal or record that cannot be read or written
    ├── UsageError              (ValueError)         an argument that makes no sense
    ├── RestoreRefused          (ValueError)         the checkpoint does not fit the live objects; nothing was changed
    ├── NotProved               (RuntimeError)       restored exactly, and the model computes something else
    ├── RestoreInterrupted      (RuntimeError)       a restore failed half-way and could not be undone
    ├── SaveFailed              (OSError)            a save could not be written; the checkpoints before it stand
    ├── VaultLocked             (RuntimeError)       another writer is at work in the vault
    └── NothingToRestore        (LookupError)        a vault holds no checkpoint that verifies and fits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .finding import Finding
    from .plan import Plan

__all__ = [
    "HoldfastError",
    "CheckpointNotFound",
    "NotRecognised",
    "NotReadable",
    "AmbiguousPath",
    "DamagedCheckpoint",
    "Truncated",
    "ChecksumMismatch",
    "PartMissing",
    "LimitExceeded",
    "UnknownTensor",
    "AmbiguousTensor",
    "NotStored",
    "PlanError",
    "SealError",
    "UsageError",
    "RestoreInterrupted",
    "RestoreRefused",
    "SaveFailed",
    "VaultLocked",
    "NothingToRestore",
]


class HoldfastError(Exception):
    """The root of everything that Holdfast raises.

    Attributes
    ----------
    message: what happened, in one sentence.
    file: path or member the error is about, or ``None``.
    offset: byte offset in that file, or ``None``.
    tensor: name of the tensor concerned, or ``None``.
    expected, found: what the format (or the caller) demands, and what is there; texts or ``None``.
    remedy: what to do next, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        offset: int | None = None,
        tensor: str | None = None,
        expected: object = None,
        found: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.offset = offset
        self.tensor = tensor
        self.expected = None if expected is None else str(expected)
        self.found = None if found is None else str(found)
        self.remedy = remedy

    def __str__(self) -> str:
        text = self.message
        place = []
        if self.file is not None:
            place.append(self.file)
        if self.offset is not None:
            place.append(f"offset {self.offset}")
        if self.tensor is not None:
            place.append(f"tensor {self.tensor!r}")
        if place:
            text += f" [{', '.join(place)}]"
        if self.expected is not None or self.found is not None:
            told = (("expected", self.expected), ("found", self.found))
            text += f" ({', '.join(f'{word} {value}' for word, value in told if value is not None)})"
        if self.remedy:
            text += f". {self.remedy}"
        return text


class CheckpointNotFound(HoldfastError, FileNotFoundError):
    """Nothing lies at the path, under any reading of it."""


class NotRecognised(HoldfastError, ValueError):
    """The content belongs to no checkpoint format we know; the message says what it looks like."""


class NotReadable(HoldfastError, NotImplementedError):
    """A format that is recognised and named, but for which there is no reader."""


class AmbiguousPath(HoldfastError, ValueError):
    """The path holds several checkpoints where one was asked for."""


class DamagedCheckpoint(HoldfastError, ValueError):
    """The bytes contradict the format."""


class Truncated(DamagedCheckpoint, EOFError):
    """Bytes that the format promises are not there."""


class ChecksumMismatch(DamagedCheckpoint):
    """The bytes contradict a checksum that the file itself carries."""


class PartMissing(DamagedCheckpoint, FileNotFoundError):
    """A shard, index or metadata file that belongs to the checkpoint is not there."""


class LimitExceeded(DamagedCheckpoint):
    """A size, count or depth that no honest file has; reading on would cost memory or time without bound."""


class UnknownTensor(HoldfastError, KeyError):
    """No tensor answers to the name."""

    __str__ = HoldfastError.__str__


class AmbiguousTensor(HoldfastError, KeyError):
    """Several tensors answer to the name."""

    __str__ = HoldfastError.__str__


class NotStored(HoldfastError, ValueError):
    """The tensor is described by the file, but its bytes are not there or have no meaning as an array."""


class PlanError(HoldfastError, ValueError):
    """An edit that cannot be parsed, or that does not apply."""


class SealError(HoldfastError, ValueError):
    """A seal or record that cannot be read, trusted or written."""


class UsageError(HoldfastError, ValueError):
    """An argument that makes no sense."""


class RestoreRefused(HoldfastError, ValueError):
    """The checkpoint does not fit the live objects, or is damaged. Nothing live was changed.

    ``findings`` are all of them, the gravest first; ``plan`` the edits that would settle those that edits can
    settle. ``str()`` tells both.
    """

    def __init__(
        self, message: str, findings: tuple[Finding, ...], plan: Plan, *, file: str | None = None
    ) -> None:
        super().__init__(message, file=file)
        self.findings = findings
        self.plan = plan

    def __str__(self) -> str:
        lines = [self.message if self.file is None else f"{self.message} [{self.file}]"]
        errors = [f for f in self.findings if f.severity == "error"]
        for finding in errors[:_SHOWN]:
            lines.append(f"  {finding.code} {finding.message}")
            framework = finding.evidence.get("framework")
            if framework:
                lines.append(f"       {framework}")
            if finding.remedy:
                lines.append(f"       {finding.remedy}")
        if len(errors) > _SHOWN:
            lines.append(f"  ... and {len(errors) - _SHOWN} more errors (in .findings)")
        if len(self.plan):
            lines.append("  Everything that edits can settle, at once (read it first: it says what is lost):")
            lines.append(f"       allow={[str(edit) for edit in self.plan.edits]!r}")
        return "\n".join(lines)


class NotProved(HoldfastError, RuntimeError):
    """The values were restored exactly, and the model computes something else than when they were saved.

    ``findings`` name the first layer that computes otherwise, and what differs there; ``outcome`` is what was restored. The
    live objects hold the checkpoint's values.
    """

    def __init__(
        self, message: str, findings: tuple[Finding, ...], outcome: Any, *, file: str | None = None
    ) -> None:
        super().__init__(
            f"restored, and not the same function: {message}", file=file,
            remedy="The live objects hold the checkpoint's values; put the code, the settings or the preprocessing back that "
            "they were saved with, or record a new probe with the next save.",
        )  # fmt: skip
        self.findings = findings
        self.outcome = outcome


_SHOWN = 12


class RestoreInterrupted(HoldfastError, RuntimeError):
    """A restore failed while live tensors were being set, and their old values were not kept.

    ``changed`` names every tensor that may no longer hold what it held.
    """

    def __init__(
        self, message: str, changed: tuple[str, ...], *, file: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message, file=file, remedy=remedy)
        self.changed = changed

    def __str__(self) -> str:
        shown = ", ".join(self.changed[:_SHOWN])
        more = f" and {len(self.changed) - _SHOWN} more" if len(self.changed) > _SHOWN else ""
        return f"{super().__str__()} Changed: {shown or 'nothing'}{more}"


class SaveFailed(HoldfastError, OSError):
    """A save could not be written. Every checkpoint committed before stands as it was.

    ``number`` is the system's error number (``errno``), where a system call failed. ``findings``: what the preflight
    found, the gravest first, where it is the preflight that failed; ``str()`` tells all its errors.
    """

    def __init__(
        self,
        message: str,
        *,
        number: int | None = None,
        findings: tuple[Finding, ...] = (),
        **given: object,
    ) -> None:
        super().__init__(message, **given)  # type: ignore[arg-type]
        self.number = number
        self.errno = number
        self.findings = findings

    def __str__(self) -> str:
        errors = [f for f in self.findings if f.severity == "error"]
        told = [f"  {f.code} {f.message}. {f.remedy or ''}".rstrip() for f in errors[:_SHOWN]]
        return "\n".join([HoldfastError.__str__(self), *(told if len(errors) > 1 else [])])


class VaultLocked(HoldfastError, RuntimeError):
    """Another writer is at work in the vault."""


class NothingToRestore(HoldfastError, LookupError):
    """A vault was asked to restore, and holds no checkpoint that verifies and fits."""

    __str__ = HoldfastError.__str__
