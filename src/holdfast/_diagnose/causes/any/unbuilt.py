"""Variables that do not exist yet when they are to be saved or restored."""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing, storing_or_alone

ENTRIES = (
    Entry(
        "not-created-yet",
        "lazy-build",
        (
            "before it ",
            "before they ",
            "created",
            "built",
            "called",
            "materialized",
            "uninitializedparameter",
            "uninitialized parameter",
            "lazy",
            "no variables yet",
            "have not yet been",
        ),
        r"(?:before (?:it|they) (?:was|were|is|are) (?:created|built)|(?:not|n't|never)(?: yet)?(?: been)?(?: yet)? (?:created"
        r"|built|called"
        r"|materialized)|UninitializedParameter|uninitialized parameter|lazy ?(?:module|linear)|unbuilt|must be (?:built|called"
        r"|created) (?:before|first)|no variables yet"
        r"|have not yet been)",
        why="the variables do not exist yet: the model, layer or optimizer was not built or called before",
        remedy=(
            "Build it first: run the model once on an input of the right shape (or `model.build(shape)`, "
            "`optimizer.build(variables)`), then load or save."
        ),
        where=storing_or_alone,
        weigh=ranked(("lazy-build", 0.62), ("missing-tensor", 0.42), ("version-mismatch", 0.4)),
        example="RuntimeError: load_state_dict: modules that have not been built (LazyLinear) cannot take weights",
    ),
    Entry(
        "optimizer-before-first-step",
        "lazy-build",
        ("optimizer",),
        r"optimizer\b[^.;]{0,80}(?:has no (?:state|variables|slots)|state is empty|not (?:been )?(?:built|initiali[sz]ed"
        r"|created))"
        r"|(?:build|initiali[sz]e) the optimizer (?:first|before)",
        why="the optimizer has no state yet: its variables are made at the first step (or by `build`), and that comes later",
        remedy="`optimizer.build(model.trainable_variables)`, or one step, before its state is restored or saved.",
        where=storing,
        weigh=ranked(("lazy-build", 0.66), ("optimizer-structure", 0.62), ("resume-state", 0.4)),
        example="load_weights: ValueError: the optimizer has not been built; call `optimizer.build` first",
    ),
)
