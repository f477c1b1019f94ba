"""Rows on Keras 3 models and optimizers, in the four files that people keep of them.

``tfck``: ``tf.train.Checkpoint(model, optimizer)``; ``weights.h5``, ``.keras`` and the legacy ``.h5``. What a format
cannot tell follows from what it stores: a bundle has object paths and no layer names, only ``.keras`` and ``.h5`` the
configuration, none the code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_damage as damage
import numpy as np
from harness import Case, Row
from keras_nets import (
    Lazy,
    Listed,
    Named,
    Run,
    adam,
    attention,
    build,
    by_name,
    by_place,
    called,
    conv,
    fused_heads,
    held,
    nested,
    net,
    plain,
    recurrent,
    save,
    shared,
    state,
    train,
    with_code,
    words,
)

import holdfast

SYSTEMS = ("tfck", "weights.h5", ".keras", ".h5")
WITH_NAMES = ("weights.h5", ".keras", ".h5")
WITH_CONFIG = (".keras", ".h5")
WITHOUT_CONFIG = ("tfck", "weights.h5")
WITH_SUMS = ("tfck", ".keras")
WITHOUT_SUMS = ("weights.h5", ".h5")

Make = Callable[[], Run]
Truth = Callable[[list[Any], Mapping[str, Any]], dict[str, np.ndarray]] | None

ROWS: list[Row] = []


def row(
    mutation: str,
    systems: tuple[str, ...],
    expect: str,
    saved: Make,
    live: Make,
    codes: tuple[str, ...] = (),
    *,
    sealed: str | None = None,
    settles: bool = False,
    truth: Truth = by_name,
    goes_on: bool = False,
    steps: int = 2,
    before: Callable[[Run], None] | None = None,
    edit: Callable[[Path], None] | None = None,
    hurt: Callable[[Path], None] | None = None,
    parts: tuple[str, ...] = ("model", "optimizer"),
) -> None:
    """One mutation in several formats.

    ``goes_on``: training goes on bit for bit like the uninterrupted run. ``before``: done to the run before it is
    saved. ``edit``: done to the file before sealing, ``hurt`` after. ``parts``: what the restore is given.
    """

    def make(system: str) -> Callable[[Path], Case]:
        def case(folder: Path) -> Case:
            keras.utils.set_random_seed(1)
            run = saved()
            if run.optimizer is not None:
                train(run, steps)
            if before is not None:
                before(run)
            path = save(run, system, folder / "saved")
            if edit is not None:
                edit(Path(path))
            was = held(run.parts())
            keras.utils.set_random_seed(2)
            other = live()
            given = {word: thing for word, thing in other.parts().items() if word in parts}
            known = truth(was, given) if truth is not None else {}

            def after(outcome: holdfast.Outcome) -> None:
                train(run, 3, steps)
                train(other, 3, steps)
                assert state(run) == state(other), "training goes on otherwise than the uninterrupted run"

            spoil = (lambda: hurt(Path(path))) if hurt is not None else None
            return Case(path, given, known, origin=run.model, after=after if goes_on else None, damage=spoil)

        return case

    for system in systems:
        ROWS.append(Row(mutation, system, expect, make(system), codes, sealed, settles))


def run(model: Callable[[], Any], optimizer: Callable[[], Any] | None = adam) -> Make:
    return lambda: Run(model(), None if optimizer is None else optimizer())


def sound(
    mutation: str,
    model: Callable[[], Any],
    optimizer: Callable[[], Any] = adam,
    systems: tuple[str, ...] = SYSTEMS,
    **more: Any,
) -> None:
    """Nothing has changed: exact, and training goes on bit for bit."""
    given = {"truth": by_place, "goes_on": True, **more}
    row(mutation, systems, "exact", run(model, optimizer), run(model, optimizer), **given)


# -- sound ---------------------------------------------------------------------------------------------------
sound("plain resume", net)
row(
    "plain resume, optimizer built before",
    SYSTEMS,
    "exact",
    run(net),
    lambda: build(Run(net(), adam())),
    truth=by_place,
    goes_on=True,
)


def _later() -> Run:
    keras.layers.Dense(1), keras.layers.Dense(1)
    return Run(plain(8, 8, 3), adam())


row(
    "automatic names moved on by counters", SYSTEMS, "exact", run(lambda: plain(8, 8, 3)), _later,
    truth=by_place, goes_on=True,
)  # fmt: skip
sound("nested models", nested)
sound("a layer used twice", shared)
sound("LSTM", recurrent)
sound("GRU", lambda: recurrent(cell="GRU"), systems=("tfck", ".keras"))
sound("Bidirectional LSTM", lambda: recurrent(cell="Bidirectional"))
sound("convolution", conv, systems=("tfck", ".h5"))
sound("MultiHeadAttention", attention)
sound("subclassed", lambda: called(Named()), systems=WITHOUT_CONFIG)
sound("mixed_float16 with a loss scale", lambda: net(dtype="mixed_float16"), lambda: _scaled(adam()))
sound("learning rate schedule", net, lambda: adam(_schedule(0.01)))
sound("use_ema", net, lambda: adam(use_ema=True, ema_momentum=0.9))
sound("gradient accumulation, between", net, lambda: adam(gradient_accumulation_steps=2))
row(
    "gradient accumulation, in the middle", SYSTEMS, "exact",
    run(net, lambda: adam(gradient_accumulation_steps=2)), run(net, lambda: adam(gradient_accumulation_steps=2)),
    truth=by_place, goes_on=True, steps=3,
)  # fmt: skip
sound("weight decay and clipping", net, lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1, clipnorm=1.0))
for _name, _made in {
    "SGD": lambda: keras.optimizers.SGD(0.01),
    "SGD with momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "RMSprop": lambda: keras.optimizers.RMSprop(0.01, centered=True, momentum=0.9),
    "Adam with amsgrad": lambda: adam(amsgrad=True),
    "Adagrad": lambda: keras.optimizers.Adagrad(0.01),
    "Adadelta": lambda: keras.optimizers.Adadelta(0.01),
    "Adamax": lambda: keras.optimizers.Adamax(0.01),
    "Nadam": lambda: keras.optimizers.Nadam(0.01),
    "Ftrl": lambda: keras.optimizers.Ftrl(0.01),
    "Lion": lambda: keras.optimizers.Lion(0.01),
    "Lamb": lambda: keras.optimizers.Lamb(0.01),
    "Adafactor": lambda: keras.optimizers.Adafactor(0.01),
}.items():
    # Adafactor's factors follow from more than shapes: it is built first. The legacy .h5 of Keras 3 cannot hold them
    # (two variables get one name, and save raises)
    if _name == "Adafactor":
        row(
            f"plain resume, {_name}",
            ("tfck", "weights.h5", ".keras"),
            "exact",
            run(net, _made),
            lambda m=_made: build(Run(net(), m())),
            truth=by_place,
            goes_on=True,
        )
    else:
        sound(f"plain resume, {_name}", net, _made)


def _scaled(inner: Any) -> Any:
    return keras.optimizers.LossScaleOptimizer(inner, initial_scale=1024.0)


def _schedule(rate: float) -> Any:
    return keras.optimizers.schedules.ExponentialDecay(rate, 10, 0.9)


def _frozen() -> Run:
    made = Run(net(), adam())
    made.model.get_layer("encoder").trainable = False
    return made


row("a layer frozen from the start", SYSTEMS, "exact", _frozen, _frozen, truth=by_place, goes_on=True)
row("model alone from a training checkpoint", SYSTEMS, "exact", run(net), run(net, None), parts=("model",))
row("weights-only file, model alone", SYSTEMS, "exact", run(net, None), run(net, None))
row(
    "dropout, whose generator no file has",
    SYSTEMS,
    "exact",
    run(lambda: net(dropout=0.5)),
    run(lambda: net(dropout=0.5)),
)

# -- structure -----------------------------------------------------------------------------------------------
row("layer added at end", SYSTEMS, "refuse", run(net), run(lambda: net(adapter=True)), ("T201",))
row(
    "layer removed at end",
    SYSTEMS,
    "leftover",
    run(lambda: net(adapter=True), None),
    run(net, None),
    ("T202",),
)
row(
    "layer removed at end, with optimizer",
    SYSTEMS,
    "leftover",
    run(lambda: net(adapter=True)),
    run(net),
    ("T202",),
)
row(
    "layer removed in middle, same shape",
    WITH_NAMES,
    "leftover",
    run(lambda: net(between=1)),
    run(net),
    ("T202",),
)
row(
    "layer removed in middle, same shape", ("tfck",), "refuse", run(lambda: net(between=1)), run(net),
    ("T202", "T210", "T205"), truth=None,
)  # fmt: skip
row(
    "layer removed in middle, same shape, no names", SYSTEMS, "refuse",
    run(lambda: plain(8, 8, 8, 3)), run(lambda: plain(8, 8, 3)), ("T202", "T210", "T205"), truth=None,
)  # fmt: skip
row(
    "layer inserted in middle, same shape",
    SYSTEMS,
    "refuse",
    run(net),
    run(lambda: net(between=1)),
    ("T201", "T210", "T205"),
)
row(
    "layer inserted in middle, same shape, no names", SYSTEMS, "refuse",
    run(lambda: plain(8, 8, 3)), run(lambda: plain(8, 8, 8, 3)), ("T201", "T210", "T205"), truth=None,
)  # fmt: skip
row("units changed (more)", SYSTEMS, "lossy", run(net, None), run(lambda: net(hidden=12), None), ("T203",))
row(
    "units changed (fewer), with optimizer", SYSTEMS, "lossy", run(net), run(lambda: net(hidden=4)), ("T203",)
)
row("more classes", SYSTEMS, "lossy", run(net, None), run(lambda: net(classes=5), None), ("T203",))
row("vocabulary grown", SYSTEMS, "lossy", run(words, None), run(lambda: words(15), None), ("T203",))
row(
    "another model altogether", SYSTEMS, "refuse", run(net), run(lambda: recurrent(cell="LSTM")),
    ("T223", "T201"), truth=None,
)  # fmt: skip


def _named_head(name: str) -> Callable[[], Any]:
    return lambda: net(head=name)


def _was(new: str, old: str) -> Truth:
    return lambda saved, parts: by_name(
        saved, parts, lambda name: name.replace(new, old).replace("tmp#", new) if new in name else name
    )


# the layer's place is in the file beside its name, and everything else agrees; in legacy .h5 only the name is
row("layer renamed only", ("tfck", "weights.h5", ".keras"), "exact", run(net), run(_named_head("classifier")),
    truth=_was("classifier", "head"))  # fmt: skip
row("layer renamed only", (".h5",), "refuse", run(net), run(_named_head("classifier")), ("T205",),
    settles=True, truth=_was("classifier", "head"))  # fmt: skip
row("layer renamed, another of its shape added", ("tfck", "weights.h5", ".keras"), "refuse", run(net),
    run(lambda: net(decoder="other", between=1)), ("T201", "T205", "T210"), truth=None)  # fmt: skip

_CROSS = {"encoder": "decoder", "decoder": "encoder"}


def _crossed_names() -> Any:
    """What stood first is called decoder now: the names tell."""
    return net(encoder="decoder", decoder="encoder")


row("same-shape layers swapped, explicit names", SYSTEMS, "exact", run(net), run(_crossed_names))
# without an optimizer, whose slots bear them, a bundle has no names
row("same-shape layers swapped, explicit names, weights alone", WITH_NAMES, "exact", run(net, None),
    run(_crossed_names, None))  # fmt: skip
row("same-shape layers swapped, explicit names, weights alone", ("tfck",), "indistinguishable", run(net, None),
    run(_crossed_names, None), sealed="exact")  # fmt: skip
row(
    "same-shape attributes set in the other order", ("tfck",), "exact",
    run(lambda: called(Named())), run(lambda: called(Named(crossed=True))),
)  # fmt: skip
# the weights are told by their attributes; the optimizer's order is in no .weights.h5 of a subclassed model
row(
    "same-shape attributes set in the other order", ("weights.h5",), "indistinguishable",
    run(lambda: called(Named())), run(lambda: called(Named(crossed=True))), truth=None,
)  # fmt: skip
row(
    "same-shape layers swapped in a list, explicit names", ("weights.h5",), "exact",
    run(lambda: called(Listed("a", "b"))), run(lambda: called(Listed("b", "a"))),
)  # fmt: skip
row(
    "same-shape layers swapped, no names, another activation each", WITH_CONFIG, "refuse",
    run(lambda: plain(8, 8, 3, activations=("relu", "tanh"))),
    run(lambda: plain(8, 8, 3, activations=("tanh", "relu"))), ("T218",), truth=None,
)  # fmt: skip
row(
    "same-shape layers swapped, no names, another activation each", WITHOUT_CONFIG, "indistinguishable",
    run(lambda: plain(8, 8, 3, activations=("relu", "tanh"))),
    run(lambda: plain(8, 8, 3, activations=("tanh", "relu"))), ("T218",), sealed="refuse", truth=None,
)  # fmt: skip
row(
    "two layers of one explicit name", WITHOUT_CONFIG, "exact",
    run(lambda: called(Named(twins=True))), run(lambda: called(Named(twins=True))), truth=by_place, goes_on=True,
)  # fmt: skip
row(
    "tied at save, untied at load", SYSTEMS, "refuse", run(shared), run(lambda: shared(tied=False)), ("T201",)
)
row(
    "untied at save, tied at load",
    SYSTEMS,
    "leftover",
    run(lambda: shared(tied=False)),
    run(shared),
    ("T202",),
)

# -- dtypes --------------------------------------------------------------------------------------------------


def _of(dtype: str) -> Make:
    return run(lambda: net(dtype=dtype), None)


row("dtype f32->f16", SYSTEMS, "lossy", _of("float32"), _of("float16"), ("T204",))
row("dtype f32->bf16", SYSTEMS, "lossy", _of("float32"), _of("bfloat16"), ("T204",))
row("dtype f64->f32", SYSTEMS, "lossy", _of("float64"), _of("float32"), ("T204",))
row("dtype f16->f32", SYSTEMS, "lossy", _of("float16"), _of("float32"), ("T204",))
row(
    "dtype f32->f16, with optimizer", SYSTEMS, "lossy", run(net), run(lambda: net(dtype="float16")), ("T204",)
)
row("mixed_float16 to float32, weights alone", SYSTEMS, "exact", _of("mixed_float16"), _of("float32"))


def _placed_cast(saved: list[Any], parts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """By place, in the live dtype."""
    return {name: values.astype(np.float16) for name, values in by_place(saved, parts).items()}


def _half(*units: int) -> Callable[[], Any]:
    def model() -> Any:
        layers = [keras.layers.Dense(n, dtype="float16") for n in units]
        return keras.Sequential([keras.Input((8,)), *layers])

    return model


row("dtype f32->f16, automatic names", SYSTEMS, "lossy", run(lambda: plain(8, 8, 3), None), run(_half(8, 8, 3), None),
    ("T204",), truth=_placed_cast)  # fmt: skip
row("units changed, automatic names", SYSTEMS, "lossy", run(lambda: plain(8, 8, 3), None),
    run(lambda: plain(12, 8, 3), None), ("T203",), truth=by_place)  # fmt: skip


def _large(made: Run) -> None:
    kernel = made.model.get_layer("head").kernel
    values = np.array(kernel)
    values[0, 0] = 70000.0
    kernel.assign(values)


row("dtype f32->f16, a weight of 70000", SYSTEMS, "refuse", _of("float32"), _of("float16"), ("T204",), before=_large,
    truth=None)  # fmt: skip

# -- optimizers ----------------------------------------------------------------------------------------------


def sgd(momentum: float = 0.0) -> Callable[[], Any]:
    return lambda: keras.optimizers.SGD(0.01, momentum=momentum)


def other(
    mutation: str,
    was: Callable[[], Any],
    now: Callable[[], Any],
    expect: str,
    *codes: str,
    systems: tuple[str, ...] = SYSTEMS,
    **more: Any,
) -> None:
    row(mutation, systems, expect, run(net, was), run(net, now), codes, **more)


_CLASS = ("O201", "O202", "O203", "O204", "O205")
other("optimizer Adam->SGD(no momentum)", adam, sgd(), "refuse", *_CLASS)
other("optimizer Adam->SGD(momentum .9)", adam, sgd(0.9), "refuse", *_CLASS)
other("optimizer SGD(momentum)->Adam", sgd(0.9), adam, "refuse", *_CLASS)
other("optimizer SGD->Adam", sgd(), adam, "refuse", *_CLASS)
other("optimizer Adam->AdamW", adam, lambda: keras.optimizers.AdamW(0.01, weight_decay=0.0), "refuse", "O203")
other("optimizer SGD(momentum)->RMSprop", sgd(0.9), lambda: keras.optimizers.RMSprop(0.01), "refuse", "O203")
other("optimizer SGD(momentum)->SGD(no momentum)", sgd(0.9), sgd(), "refuse", *_CLASS, "O207")
other("amsgrad switched on", adam, lambda: adam(amsgrad=True), "refuse", "O204", "O205", "O207")
other("amsgrad switched off", lambda: adam(amsgrad=True), adam, "refuse", "O204", "O205", "O207")
other("lr changed before restore", adam, lambda: adam(0.1), "refuse", "O207")
other(
    "lr changed before restore, optimizer built", adam, lambda: adam(0.1), "refuse", "O207",
)  # fmt: skip
other("betas changed", adam, lambda: adam(beta_1=0.5), "refuse", "O207", systems=WITH_CONFIG)
other("betas changed", adam, lambda: adam(beta_1=0.5), "indistinguishable", systems=WITHOUT_CONFIG)
other(
    "epsilon of the optimizer changed",
    adam,
    lambda: adam(epsilon=1e-3),
    "refuse",
    "O207",
    systems=WITH_CONFIG,
)
other("weight decay added", adam, lambda: adam(weight_decay=0.1), "refuse", "O207", systems=WITH_CONFIG)
other("clipnorm added", adam, lambda: adam(clipnorm=1.0), "refuse", "O207", systems=WITH_CONFIG)
other("schedule in place of a rate", adam, lambda: adam(_schedule(0.01)), "refuse", "O207")
other(
    "a rate in place of a schedule",
    lambda: adam(_schedule(0.01)),
    adam,
    "refuse",
    "O207",
    systems=WITH_CONFIG,
)
other(
    "another schedule",
    lambda: adam(_schedule(0.01)),
    lambda: adam(_schedule(0.1)),
    "refuse",
    "O207",
    systems=WITH_CONFIG,
)
other(
    "another schedule",
    lambda: adam(_schedule(0.01)),
    lambda: adam(_schedule(0.1)),
    "indistinguishable",
    systems=WITHOUT_CONFIG,
)
other("use_ema switched on", adam, lambda: adam(use_ema=True), "refuse", "T201", "O204", "O205", "O207")
other("use_ema switched off", lambda: adam(use_ema=True), adam, "refuse", "T202", "O204", "O205", "O207")
other(
    "gradient accumulation switched on",
    adam,
    lambda: adam(gradient_accumulation_steps=2),
    "refuse",
    "T201",
    "O204",
    "O205",
    "O207",
)
other("loss scale put around", adam, lambda: _scaled(adam()), "refuse", "O203", "T201", "O204", "O205")
other("loss scale taken away", lambda: _scaled(adam()), adam, "leftover", "T202")
row("optimizer state absent in ckpt", SYSTEMS, "refuse", run(net, None), run(net), ("O201",))


def _stepped() -> Run:
    made = Run(net(), adam())
    train(made, 1)
    return made


row("optimizer state from before the first step", SYSTEMS, "exact", run(net), run(net), steps=0, goes_on=True)
row("optimizer state from before the first step, live one stepped", SYSTEMS, "exact", run(net), _stepped,
    steps=0, goes_on=True)  # fmt: skip


def _decayed(made: Run) -> None:
    made.optimizer.learning_rate.assign(0.001)


# none of the formats keeps the rate of construction: whether code or training changed it cannot be told
row("lr moved by a callback in training", SYSTEMS, "refuse", run(net), run(net), ("O207",), before=_decayed)


def _reordered() -> Run:
    made = Run(net(), adam())
    made.optimizer.build(made.model.trainable_variables[::-1])
    return made


def _subset() -> Run:
    made = Run(net(), adam())
    made.optimizer.build(made.model.trainable_variables[2:])
    return made


row("optimizer built over another order", SYSTEMS, "warn", run(net), _reordered, ("O309",))
row(
    "optimizer built over a subset",
    SYSTEMS,
    "refuse",
    run(net),
    _subset,
    ("O206", "O204", "O205", "T202", "O301"),
)


def _frozen_later() -> Run:
    made = build(Run(net(), adam()))
    made.model.get_layer("encoder").trainable = False
    return made


def _frozen_before_building() -> Run:
    made = Run(net(), adam())
    made.model.get_layer("encoder").trainable = False
    return made


row("layer frozen after the optimizer was built", SYSTEMS, "exact", run(net), _frozen_later)
row(
    "layer frozen before the optimizer is built",
    SYSTEMS,
    "refuse",
    run(net),
    _frozen_before_building,
    ("O204", "O205", "O206", "O202"),
)


def _use_averages(made: Run) -> None:
    made.optimizer.finalize_variable_values(made.model.trainable_variables)


def _ema() -> Any:
    return adam(use_ema=True, ema_momentum=0.5)


row("averages written over the raw weights", SYSTEMS, "indistinguishable", run(net, _ema), run(net, _ema),
    before=_use_averages, truth=None)  # fmt: skip

# -- not built -----------------------------------------------------------------------------------------------
row(
    "not built yet at restore",
    WITHOUT_CONFIG,
    "refuse",
    run(lambda: called(Lazy())),
    run(Lazy),
    ("T224", "O310"),
    truth=None,
)
row(
    "not built yet at restore, model alone",
    WITHOUT_CONFIG,
    "refuse",
    run(lambda: called(Lazy()), None),
    run(Lazy, None),
    ("T224", "O310"),
    truth=None,
)


# -- another function, the same tensors ------------------------------------------------------------------------
def function(
    mutation: str, was: Callable[[], Any], now: Callable[[], Any], what: str = "refuse", code: str = "T218"
) -> None:
    """In the configuration of ``.keras`` and ``.h5``; elsewhere a seal knows."""
    truth = by_place if what == "warn" else None  # such a row is restored all the same
    row(mutation, WITH_CONFIG, what, run(was), run(now), (code,), truth=truth)
    row(mutation, WITHOUT_CONFIG, "indistinguishable", run(was), run(now), (code,), sealed=what, truth=truth)


function("activation changed", net, lambda: net(activation="tanh"))
function("stride changed", conv, lambda: conv(strides=2))
function("padding changed", conv, lambda: conv(padding="same"))
function("dilation changed", conv, lambda: conv(dilation=2))
function("head count of a fused attention changed", fused_heads, lambda: fused_heads(4))
function("epsilon changed", net, lambda: net(epsilon=1e-5))
function("dropout rate changed", net, lambda: net(dropout=0.5), "warn")
function("momentum of the statistics changed", net, lambda: net(momentum=0.9), "warn")
function("activation of the LSTM changed", recurrent, lambda: recurrent(activation="relu"))
row("layer code changed", SYSTEMS, "indistinguishable", run(lambda: with_code(False)), run(lambda: with_code(True)),
    ("T219",), sealed="warn", truth=by_place)  # fmt: skip
row("the same layer code from elsewhere", ("tfck", ".keras"), "exact", run(lambda: with_code(False)),
    run(lambda: with_code(False)), sealed="exact")  # fmt: skip
row("head count of MultiHeadAttention changed", SYSTEMS, "refuse", run(attention, None),
    run(lambda: attention(heads=4, key_dim=2), None), ("T203", "T206", "T218"), truth=None)  # fmt: skip
row("another normalisation, without statistics", SYSTEMS, "refuse", run(lambda: net(layer_norm=True)), run(net),
    ("T201",), truth=None)  # fmt: skip
row("LSTM became GRU", SYSTEMS, "refuse", run(recurrent), run(lambda: recurrent(cell="GRU")),
    ("T201", "T203", "T202"), truth=None)  # fmt: skip

# -- contents ------------------------------------------------------------------------------------------------


def _permuted(made: Run) -> None:
    table = made.model.get_layer("embed").embeddings
    table.assign(np.asarray(table)[::-1])


row(
    "vocabulary rows permuted",
    SYSTEMS,
    "indistinguishable",
    run(words),
    run(words),
    before=_permuted,
    truth=None,
)


def _with_nan(made: Run) -> None:
    kernel = made.model.get_layer("head").kernel
    values = np.array(kernel)
    values[0, 0] = np.nan
    kernel.assign(values)


row("NaN in weights", SYSTEMS, "refuse", run(net), run(net), ("N101",), before=_with_nan, truth=None)


def _transposed(made: Run) -> None:
    kernel = made.model.get_layer("encoder").kernel
    kernel.assign(np.asarray(kernel).T)


row(
    "square weight transposed",
    SYSTEMS,
    "indistinguishable",
    run(net),
    run(net),
    before=_transposed,
    truth=None,
)

# -- damage --------------------------------------------------------------------------------------------------
_F = ("ChecksumMismatch", "Truncated", "DamagedCheckpoint", "CheckpointNotFound", "F101", "F102", "F103", "F108", "F109",
      "F111", "F112", "F113", "F124", "F125", "F128")  # fmt: skip


def hurt(
    mutation: str,
    how: Callable[[Path], None],
    systems: tuple[str, ...] = SYSTEMS,
    expect: str = "refuse",
    **more: Any,
) -> None:
    row(mutation, systems, expect, run(net), run(net), _F, truth=None, hurt=how, **more)


hurt("exponent bit flipped in tensor data", damage.flip_data, WITH_SUMS)
hurt(
    "exponent bit flipped in tensor data",
    damage.flip_data,
    WITHOUT_SUMS,
    "indistinguishable",
    sealed="refuse",
)
hurt("4 KB block zero-filled in data", damage.zero_block, WITH_SUMS)
hurt("one byte truncated", damage.cut_one)
hurt("half truncated", damage.cut_half)
hurt("file is 0 bytes long", damage.empty)
hurt("file all zero, same length", damage.zeros)
hurt("index: bit flipped mid", damage.flip_index, ("tfck",))
hurt("index: deleted", damage.no_index, ("tfck",))
hurt("one shard missing", damage.no_data, ("tfck",))
hurt("data of another save", damage.other_data, ("tfck",))
row(
    "moving statistics absent",
    (".h5",),
    "refuse",
    run(net),
    run(net),
    ("T201",),
    truth=None,
    hurt=damage.no_statistics,
)
