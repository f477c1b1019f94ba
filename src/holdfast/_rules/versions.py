"""E3: a file against the versions that would load it, where these are known (``Subject.reader``)."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.fault import Fault
from .._core.finding import Finding, Severity
from .._facts.versions import installed_readers, judge
from .registry import Rule, Subject, rule

__all__: list[str] = []


# The packages whose loaders a person would call for a live model of that framework.
_LOADERS = {
    "keras": ("keras", "tensorflow", "numpy", "python"),
    "tensorflow": ("tensorflow", "keras", "numpy", "python"),
    "torch": ("torch", "safetensors", "numpy", "python"),
    "jax": ("jax", "flax", "orbax", "safetensors", "numpy", "python"),
    "numpy": ("numpy", "safetensors", "python"),
}


# Rows that the rules on files alone (E104 to E106) tell of already, whatever the reader is.
_TOLD = ("keras1-h5", "keras-savedmodel", "keras-tf-weights", "weights-only-protocol", "numpy-core")


def _faults(subject: Subject, slug: str) -> Iterator[Fault]:
    """What was handed in, else what the rows on versions say of the catalog and the reader: the versions named, and
    beside a live model those that are installed."""
    given = list(subject.faults_of(slug))
    if given or subject.catalog is None:
        yield from given
        return
    reader: dict[str, str] = {}
    if subject.live is not None:
        usual = _LOADERS.get(subject.live.framework, ())
        reader = {name: version for name, version in installed_readers().items() if name in usual}
    reader.update(subject.reader or {})
    for fault in judge(subject.catalog, reader=reader):
        asked = fault.attributes["package"] in (subject.reader or {})
        if fault.slug == slug and (asked or fault.attributes["row"] not in _TOLD):
            yield fault


def _severity(rule: Rule, subject: Subject, fault: Fault) -> Severity:
    """A note where nobody asked about that version: beside a live model it is Holdfast that restores, and the
    framework's own loader is an aside. The rule's own severity where the version was named."""
    asked = subject.live is None or fault.attributes.get("package") in (subject.reader or {})
    return rule.severity if asked else "note"


@rule("E301", "reader-refuses", severity="error", cause="version-mismatch", live=True)
def reader_refuses(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The version that is to load the file does not load it.

    Between the version that wrote the file and the one asked about, the layout, the class paths or the defaults
    changed: .keras files of Keras 2 or of a newer Keras 3, TensorFlow checkpoints of Keras 2 under Keras 3 (restored
    without an error and without a weight), PyTorch's weights-only default, number types that came later. Speaks only
    where a reader is known: the one named with --target, or the one installed beside a live model. In the second case
    it is a note, since holdfast restore does not go through the framework's loader.

    Evidence: what in the file shows it, and the versions for which it holds.

    What to do: as the remedy says; holdfast restore and holdfast convert read the file whatever is installed.

    Example: ``holdfast check model.keras --target keras==3.8`` on a file of Keras 3.15.
    """
    for fault in _faults(subject, "reader-refuses"):
        yield rule.from_fault(
            fault, severity=_severity(rule, subject, fault), file=fault.file or subject.target.path
        )


@rule("E302", "reader-loses", severity="warning", cause="version-mismatch", live=True)
def reader_loses(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The version that is to load the file loads it, but not all of it.

    Optimizer state in another layout (slots by path before Keras 2.11, a flat list since, two places further in
    Keras 3), legacy .h5 files whose momenta Keras 3 leaves at zero, loss-scaled optimizers in .keras files,
    convolution kernels that moved from `kernel` to `_kernel`. Most of it happens without a word. Speaks only where a
    reader is known; a note where the live model is at hand, as for E301.

    Evidence: what is lost, what in the file shows it, and the versions for which it holds.

    What to do: as the remedy says; holdfast restore maps the state by owner instead.

    Example: ``holdfast check model.h5 --target keras==3.15`` on a compiled model.
    """
    for fault in _faults(subject, "reader-loses"):
        yield rule.from_fault(
            fault, severity=_severity(rule, subject, fault), file=fault.file or subject.target.path
        )
