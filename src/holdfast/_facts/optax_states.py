"""What optax's states keep: their fields in order, which mirror the parameters, which count, and what class they
suggest.

Sources: the NamedTuples of ``optax/_src/{base,transform,factorized,linesearch,lookahead}.py``,
``optax/transforms/*.py``, ``optax/schedules/_inject.py`` and ``optax/contrib/*.py`` of optax 0.2.8.
"""

from __future__ import annotations

from collections.abc import Collection

from .._core.dtypes import is_float, is_integer
from .._core.spec import Role

__all__ = [
    "CLASS_OF_STATE",
    "CONTAINERS",
    "COPIES",
    "ELEMENTWISE",
    "FACTORED",
    "GRADIENTS",
    "HYPERPARAMETERS",
    "STEP",
    "fields_of_state",
    "role_of_field",
    "state_with",
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

COPIES = frozenset({"init_params", "init_particles", "params0", "x0", "z"})
"""Fields that begin as a copy of the weights themselves."""

GRADIENTS = frozenset({"acc_grads"})
"""Gradients summed up so far (``optax.MultiSteps``)."""

HYPERPARAMETERS = frozenset({"hyperparams"})
"""Hyperparameters kept in the state (``optax.inject_hyperparams``)."""

CONTAINERS = frozenset(
    {
        "adv_state", "base_optimizer_state", "fast_state", "hessian_fn_state", "hyperparams_states", "info",
        "inner_opt_state", "inner_state", "inner_states", "measure_states", "opt_state", "skip_state",
    }
)  # fmt: skip
"""Fields that hold other states."""

CONFIGURED = frozenset({"b1"})
"""The one scalar that a state keeps as it was configured (``ScheduleFreeState``). All others (an estimated step size, a
distance, the best loss so far) are moved by training."""

STEP = ("gradient_step", "count", "step", "t")
"""Fields that count updates, the one that counts whole updates first."""

_FIELDS: dict[str, str] = {
    "AddNoiseState": "count rng_key",
    "ApplyEvery": "count grad_acc",
    "ApplyIfFiniteState": "notfinite_count last_finite total_notfinite inner_state",
    "BacktrackingLinesearchInfo": "num_linesearch_steps decrease_error",
    "BacktrackingLineSearchState": "learning_rate new_value new_grad decrease_error iter_num",
    "COCOBState": "init_particles cumulative_gradients scale subgradients reward",
    "ConditionallyMaskState": "step inner_state",
    "ConditionallyTransformState": "inner_state step",
    "DAdaptAdamWState": "exp_avg exp_avg_sq grad_sum estim_lr numerator_weighted count",
    "DifferentiallyPrivateAggregateState": "rng_key",
    "DoGState": "is_init_step init_params max_dist sum_sq_norm_grads",
    "DoWGState": "init_params weighted_sq_norm_grads estim_sq_dist",
    "EmaState": "count ema",
    "EmptyState": "",
    "FactoredState": "count v_row v_col v",
    "GaLoreState": "count base_optimizer_state projector",
    "HutchinsonState": "key",
    "InjectHyperparamsState": "count hyperparams inner_state",
    "InjectStatefulHyperparamsState": "count hyperparams hyperparams_states inner_state",
    "LookaheadState": "fast_state steps_since_sync",
    "MadgradState": "count grad_sum_sq s x0",
    "MaskedNode": "",
    "MaskedState": "inner_state",
    "MechanicState": "base_optimizer_state count r m v s x0",
    "MomoAdamState": "exp_avg exp_avg_sq barf gamma lb count",
    "MomoState": "exp_avg barf gamma lb count",
    "MonitorState": "measurements measure_states",
    "MultiStepsState": "mini_step gradient_step inner_opt_state acc_grads skip_state",
    "MuonState": "count mu ns_coeffs",
    "NonNegativeParamsState": "",
    "NormalizeState": "",
    "PartitionState": "inner_states",
    "ProdigyState": "exp_avg exp_avg_sq grad_sum params0 estim_lr numerator_weighted count",
    "ReduceLROnPlateauState": "scale best_value plateau_count cooldown_count count avg_value",
    "SAMState": "steps_since_sync opt_state adv_state cache",
    "ScaleByAdaDeltaState": "e_g e_x",
    "ScaleByAdamState": "count mu nu",
    "ScaleByAdanState": "m v n g t",
    "ScaleByAdemamixState": "count count_m2 m1 m2 nu",
    "ScaleByAmsgradState": "count mu nu nu_max",
    "ScaleByBacktrackingLinesearchState": "learning_rate value grad info",
    "ScaleByBeliefState": "count mu nu",
    "ScaleByDistanceOverGradientsState": "max_dist grad_sum_of_squares init_params",
    "ScaleByLBFGSState": "count params updates diff_params_memory diff_updates_memory weights_memory",
    "ScaleByLionState": "count mu",
    "ScaleByNovogradState": "count mu nu",
    "ScaleByOptimisticGradientState": "is_initial_step previous_gradient",
    "ScaleByRmsState": "nu",
    "ScaleByRmsWithCountState": "count nu",
    "ScaleByRpropState": "step_sizes prev_updates",
    "ScaleByRssState": "sum_of_squares",
    "ScaleByRStdDevState": "mu nu",
    "ScaleByRStdDevWithCountState": "count mu nu",
    "ScaleByScheduleState": "count",
    "ScaleBySimplifiedAdEMAMixState": "t m n",
    "ScaleBySM3State": "mu nu",
    "ScaleByZoomLinesearchState": "learning_rate value grad info",
    "ScheduleFreeState": "b1 weight_sum step_count max_lr base_optimizer_state z",
    "SnapshotState": "measurement",
    "SophiaState": "count mu nu hessian_fn_state",
    "SplitRealAndImaginaryArrays": "real imaginary",
    "SplitRealAndImaginaryState": "inner_state",
    "TraceState": "trace",
    "WeightDecaySchedule": "count",
    "WrappedScheduleState": "count",
    "ZeroNansState": "found_nan",
    "ZoomLinesearchInfo": "num_linesearch_steps decrease_error curvature_error",
}
"""State class -> its fields in order: a pickle holds the values alone."""

_SETS = {name: frozenset(fields.split()) for name, fields in _FIELDS.items()}


def fields_of_state(module: str, name: str, count: int) -> tuple[str, ...] | None:
    """The fields of an optax state class of so many values; ``None`` for any other class, and where a version of optax
    has given the class more or fewer."""
    if module.partition(".")[0] != "optax" or name not in _FIELDS:
        return None
    fields = tuple(_FIELDS[name].split())
    return fields if len(fields) == count else None


def state_with(fields: Collection[str]) -> str | None:
    """The state class that has all of these fields and at most as many more (what is empty leaves no trace in a flattened
    tree); where several do, the one with the fewest more, and of these one that keeps its weights' own shapes."""
    given = frozenset(fields)
    found = [
        (len(own) - len(given), any(state == name for state, _ in FACTORED), name)
        for name, own in _SETS.items()
        if given and given <= own and len(own) <= 2 * len(given)
    ]
    return min(found)[2] if found else None


def role_of_field(field: str, shape: tuple[int, ...], dtype: str) -> Role:
    """The role of a state entry that belongs to no single weight: ``counter`` for scalars that training moves, be they
    whole numbers or not, ``hyperparameter`` for those that are configured, ``rng`` for keys, else ``other``."""
    if "rng" in field or field == "key":
        return "rng"
    if field in HYPERPARAMETERS | CONFIGURED:
        return "hyperparameter"
    if shape in ((), (1,)):  # many writers give a scalar one axis
        return "counter" if is_integer(dtype) or is_float(dtype) or dtype == "bool" else "other"
    return "other"
