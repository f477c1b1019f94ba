"""What optax's states keep: which fields mirror the parameters, which count, and what class they suggest.

Sources: the NamedTuples of ``optax/_src/transform.py``, ``optax/transforms/_accumulation.py`` (``TraceState``,
``EmaState``, ``MultiStepsState``), ``optax/_src/factorized.py``, ``optax/schedules/_inject.py`` and
``optax/contrib/*.py`` of optax 0.2.8.
"""

from __future__ import annotations

from .._core.dtypes import is_float, is_integer
from .._core.spec import Role

__all__ = [
    "CLASS_OF_STATE",
    "ELEMENTWISE",
    "FACTORED",
    "GRADIENTS",
    "HYPERPARAMETERS",
    "STEP",
    "role_of_field",
]

CLASS_OF_STATE: dict[str, str] = {
    "ScheduleFreeState": "ScheduleFree",
    "ScaleByAdamState": "Adam",
    "ScaleByAmsgradState": "AMSGrad",
    "ScaleByBeliefState": "AdaBelief",
    "ScaleByLionState": "Lion",
    "ScaleByRmsState": "RMSprop",
    "ScaleByRmsWithCountState": "RMSprop",
    "ScaleByRStdDevState": "RMSprop",
    "ScaleByRStdDevWithCountState": "RMSprop",
    "ScaleByRssState": "Adagrad",
    "ScaleByAdaDeltaState": "Adadelta",
    "ScaleByAdanState": "Adan",
    "ScaleByNovogradState": "NovoGrad",
    "ScaleByRpropState": "Rprop",
    "ScaleBySM3State": "SM3",
    "FactoredState": "Adafactor",
    "ScaleByLBFGSState": "LBFGS",
    "ScaleByAdemamixState": "AdEMAMix",
    "MuonState": "Muon",
    "SophiaState": "Sophia",
    "ProdigyState": "Prodigy",
    "DAdaptAdamWState": "DAdaptAdamW",
    "TraceState": "SGD",
}
"""State class -> optimizer it suggests, the first in a chain that has a row counting. AdamW keeps Adam's state,
so this is a likelihood and no proof. ``TraceState`` (momentum) comes last as others can hold it too."""

ELEMENTWISE = frozenset(
    {
        "mu", "nu", "nu_max", "trace", "ema", "acc_grads", "sum_of_squares", "e_g", "e_x", "m1", "m2",
        "step_sizes", "prev_updates", "previous_gradient", "grad_sum_of_squares", "init_params", "exp_avg",
        "exp_avg_sq", "grad_sum", "params0", "found_nan", "z",
    }
)  # fmt: skip
"""Fields that hold one tensor of the weight's own shape a weight. (SM3's ``mu`` and NovoGrad's ``nu`` are the
exceptions: see :data:`FACTORED`.)"""

FACTORED = frozenset(
    {
        ("FactoredState", "v_row"),
        ("FactoredState", "v_col"),
        ("FactoredState", "v"),
        ("ScaleBySM3State", "mu"),
    }
    | {("ScaleByNovogradState", "nu"), ("MuonState", "ns_coeffs")}
)
"""(state class, field): one entry a weight, of another shape than the weight's."""

GRADIENTS = frozenset({"acc_grads"})
"""Gradients summed up so far (``optax.MultiSteps``)."""

HYPERPARAMETERS = frozenset({"hyperparams"})
"""Hyperparameters kept in the state (``optax.inject_hyperparams``)."""

STEP = ("gradient_step", "count", "step", "t")
"""Fields that count updates, the one that counts whole updates first."""


def role_of_field(field: str, shape: tuple[int, ...], dtype: str) -> Role:
    """The role of a state entry that belongs to no single weight: ``counter`` for scalar integers and booleans,
    ``rng`` for keys, ``hyperparameter`` for other scalars, else ``other``."""
    if "rng" in field or field == "key":
        return "rng"
    if field in HYPERPARAMETERS:
        return "hyperparameter"
    if shape in ((), (1,)):  # many writers give a scalar one axis
        if is_integer(dtype) or dtype == "bool":
            return "counter"
        return "hyperparameter" if is_float(dtype) else "other"
    return "other"
