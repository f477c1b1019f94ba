"""F: a seal that speaks of another content than the one beside it."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .registry import Rule, Subject, rule

__all__ = ["seal_mismatch"]


@rule("F119", "seal-mismatch", severity="error", cause="corrupt")
def seal_mismatch(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The seal belongs to another content.

    Nearly every byte differs from what was sealed, or the files are not the ones that the seal names. That is
    no damage of the usual kind: the checkpoint was written anew under the same name after it was sealed, or
    the seal of another checkpoint lies beside it.

    Evidence: when the seal was written, the files that differ.

    What to do: where the new content is known to be right, seal it again with ``holdfast seal --overwrite``;
    else fetch the sealed checkpoint from its backup.

    Example: seal ``last.ckpt``, train on, verify.
    """
    for fault in subject.faults_of("seal-mismatch"):
        yield rule.from_fault(
            fault,
            remedy="If the new content is right, seal it again with --overwrite; else fetch the sealed one.",
        )
