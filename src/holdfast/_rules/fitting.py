"""Rules that speak when a checkpoint is held against a live model, besides the differences themselves."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .registry import Rule, Subject, rule

__all__: list[str] = []


def _handed_on(rule: Rule, subject: Subject) -> Iterator[Finding]:
    for fault in subject.faults_of(rule.slug):
        yield rule.from_fault(fault)


@rule("T220", "live-name-clash", severity="warning", cause="renamed", live=True,
      remedy="Give the layers names of their own: by these, no checkpoint can tell them apart.")  # fmt: skip
def live_name_clash(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two tensors of the live model bear one name.

    Keras lets two layers have the same name in a subclassed model, and a nested tree can join its keys to one
    path twice. A checkpoint by such names holds one of the two, or both in an order that nothing records.

    Evidence: the name.

    What to do: give the layers names of their own, on the side that saves and on the side that loads.

    Example: two ``Dense(8, name="proj")`` as attributes of one subclassed Keras model.
    """
    yield from _handed_on(rule, subject)


@rule("T221", "edit-covers-nothing", severity="note", cause="other", live=True,
      remedy="Look at the names with `holdfast inspect`.")  # fmt: skip
def edit_covers_nothing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """An edit of the plan, or an allowance, matches no name on either side.

    Mostly a misspelt pattern: `*` stands for any run of characters, and names are those that `inspect` shows
    or the live model's own.

    Evidence: the edit.

    What to do: look at the names with ``holdfast inspect``, and mend the pattern or leave the edit out.

    Example: ``drop:heads.*`` where the checkpoint says ``head.``.
    """
    yield from _handed_on(rule, subject)


@rule("T222", "not-writable", severity="error", cause="other", live=True)
def not_writable(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A live tensor cannot be set, so nothing can be restored into it.

    numpy marks arrays read-only that are views of files, of other frameworks' memory, or of immutable values.
    Tensors of PyTorch's meta device have shapes and no memory. Of a tensor that is split over ranks (a DTensor:
    ``fully_shard``, tensor parallelism) one process holds a part.

    Evidence: the tensors' names.

    What to do: pass a copy (``array = array.copy()``); give a meta model memory (``model.to_empty(device="cpu")``); restore
    before ``fully_shard``, or on all ranks with ``set_model_state_dict``.

    Example: ``np.load(path, mmap_mode="r")`` or ``np.asarray(jax_array)`` as a leaf of ``model=``; a model made under
    ``torch.device("meta")``.
    """
    yield from _handed_on(rule, subject)


@rule("R201", "resume-part-missing", severity="error", cause="resume-state", live=True)
def resume_part_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A scheduler, a loss scaler or another part was passed, and the checkpoint holds no state of it.

    Frameworks load what is there: the learning-rate schedule then starts from the beginning under weights that
    are in the middle of training. An error where nothing of the part is there; a note for single values that
    another version of the framework did not write.

    Evidence: ``names`` of the live values that the checkpoint lacks.

    What to do: leave the part out, or allow it to start afresh: ``keep-live:scheduler/*``.

    Example: ``torch.save(model.state_dict(), path)``, restored with ``scheduler=scheduler``.
    """
    yield from _handed_on(rule, subject)


@rule("T223", "another-model", severity="error", cause="missing-tensor", live=True,
      remedy="Check the path, and the configuration the model is made with. `holdfast inspect` shows what the "
      "checkpoint holds; `holdfast diff` compares two checkpoints of unlike names.")  # fmt: skip
def another_model(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Hardly any weight of the live model is in the checkpoint, by name or by any proved correspondence.

    The wrong path, the wrong configuration, or the export of another framework whose names need a plan. The
    single differences stand below it as following from this one.

    Evidence: how many weights there are, and the first of each side.

    What to do: check the path and the configuration that the model is made with; for another framework's export,
    write the plan: ``holdfast check CKPT module:factory --write-plan plan.toml``.

    Example: ``holdfast check bert.pt train:make_resnet``.
    """
    yield from _handed_on(rule, subject)
