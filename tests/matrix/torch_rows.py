"""Rows on PyTorch: training checkpoints (zip and the older stream), bare state dicts, Lightning's layout, safetensors.
What is right does not follow from what ``load_state_dict`` does."""

from __future__ import annotations

import torch
from harness import Row
from torch import nn
from torch_making import (
    ALL,
    BOTH,
    adam,
    backwards,
    backwards_named,
    bare_names,
    block_zeroed,
    compiled,
    compiled_parallel,
    crossed,
    crossing,
    cut,
    decay,
    each,
    each_edited,
    empty,
    first_code,
    flipped,
    frozen_all_given,
    frozen_encoder,
    groups,
    half,
    halved,
    large,
    named,
    of,
    parallel,
    renaming,
    row,
    rows_permuted,
    second_code,
    sgd,
    steps,
    transposed,
    turned,
    two_of_one_name,
    unknown,
    untied_equal,
    without_count,
    without_statistics,
    zeroed,
)
from torch_nets import (
    Adapted,
    Attention,
    Conv,
    Decoder,
    Encoder,
    Net,
    Other,
    Renamed,
    Reordered,
    Run,
    Tied,
    stack,
)

MODEL_ROWS: list[Row] = [
    *each(ALL, "plain", "exact", go_on=True),
    *each(ALL, "plain, into trained objects", "exact", live_trained=2, go_on=True),
    *each(ALL, "plain, tied weights", "exact", saved=Tied, go_on=True),
    *each(ALL, "plain, index keys", "exact", saved=lambda: stack((8, 8), (8, 8), (8, 3)), go_on=True),
    *each(
        ALL, "same-shape layers swapped (index keys)", "indistinguishable",
        saved=lambda: stack((8, 8), (8, 8), (8, 3)), truth=crossing("0", "1"), sealed="indistinguishable",
    ),
    *each(
        ALL, "same-shape layers of other classes swapped (index keys)", "indistinguishable",
        saved=lambda: nn.Sequential(Encoder(), Decoder(), nn.Linear(8, 3)),
        live=lambda: nn.Sequential(Decoder(), Encoder(), nn.Linear(8, 3)), sealed="refuse", codes=("T218", "T219"),
    ),
    *each(("torch weights", "torch safetensors"), "order of the layers changed (explicit names)", "exact", live=Reordered),
    *each(ALL, "layer added at end", "refuse", ("T201",), live=Adapted),
    *each(ALL, "layer removed at end", "leftover", ("T202",), saved=Adapted, live=Net),
    *each(
        ALL, "layer removed in middle, same shape (index keys)", "refuse", ("T201", "T202", "T203", "T205", "T210"),
        saved=lambda: stack((8, 8), (8, 8), (8, 8), (8, 3)), live=lambda: stack((8, 8), (8, 8), (8, 3)),
    ),
    *each(
        ALL, "layer inserted in middle, same shape (index keys)", "refuse",
        ("T201", "T203", "T205", "T210"),
        saved=lambda: stack((8, 8), (8, 8), (8, 3)), live=lambda: stack((8, 8), (8, 8), (8, 8), (8, 3)),
    ),
    *each(ALL, "units changed", "lossy", ("T203",), live=lambda: Net(hidden=12)),
    *each(ALL, "fewer classes", "lossy", ("T203",), live=lambda: Net(classes=2)),
    *each(ALL, "more classes", "lossy", ("T203",), live=lambda: Net(classes=5)),
    *each(ALL, "vocabulary grown", "lossy", ("T203",), saved=Tied, live=lambda: Tied(words=13)),
    *each(ALL, "vocabulary shrunk", "lossy", ("T203",), saved=Tied, live=lambda: Tied(words=11 - 1)),
    *each(
        ALL, "layer renamed only", "refuse", ("T205",), live=Renamed, truth=renaming("head.", "classifier."),
        settles=True,
    ),
    *each(("torch weights", "torch safetensors"), "dtype f32->f16", "lossy", ("T204",), live=lambda: Net().half()),
    *each(("torch weights", "torch safetensors"), "dtype f32->bf16", "lossy", ("T204",), live=lambda: Net().bfloat16()),
    *each(
        ("torch weights", "torch safetensors"), "dtype f64->f32", "lossy", ("T204",), saved=lambda: Net().double(),
        live=Net,
    ),
    *each(
        ("torch weights", "torch safetensors"), "dtype bf16->f32", "lossy", ("T204",),
        saved=lambda: Net().bfloat16(), live=Net,
    ),
    *each(("torch weights", "torch safetensors"), "plain bf16", "exact", saved=lambda: Net().bfloat16()),
    *each_edited(("torch",), half, "weights halved in the file", "lossy", ("T204",), truth=halved),
    *each_edited(ALL, without_statistics, "BatchNorm running stats absent", "refuse", ("T201",)),
    *each_edited(ALL, without_count, "BatchNorm num_batches_tracked absent", "refuse", ("T201",)),
    *each(
        ("torch", "torch weights", "lightning"), "tied at save, untied at load", "refuse", ("T208",),
        saved=Tied, live=lambda: Tied(tied=False),
    ),
    row(
        "torch safetensors", "tied at save, untied at load", "refuse", ("T208", "T201"),
        saved=Tied, live=lambda: Tied(tied=False),
    ),
    *each(ALL, "untied at save, tied at load", "refuse", ("T207",), saved=lambda: Tied(tied=False), live=Tied),
    *each(
        ("torch weights", "torch safetensors"), "untied but equal at save, tied at load", "exact",
        saved=untied_equal, live=Tied, trained=0,
    ),
    *each_edited(ALL, transposed, "square weight transposed", "indistinguishable"),
    *each_edited(ALL, crossed, "same-shape layers crossed in the file", "indistinguishable"),
    *each_edited(
        ("torch weights", "torch safetensors"), rows_permuted, "vocabulary rows permuted", "indistinguishable",
        saved=Tied,
    ),
    *each_edited(ALL, two_of_one_name, "two tensors claim one name", "leftover", ("T202", "T210")),
    *each(ALL, "another model altogether", "refuse", ("T223",), saved=Other, live=Net),
    # the same tensors, another function
    *each(
        ALL, "activation changed", "indistinguishable", ("T218",), live=lambda: Net(activation=nn.GELU),
        sealed="refuse",
    ),
    *each(ALL, "epsilon changed", "indistinguishable", ("T218",), live=lambda: Net(eps=1e-3), sealed="refuse"),
    *each(
        ALL, "stride changed", "indistinguishable", ("T218",), saved=Conv, live=lambda: Conv(stride=2),
        sealed="refuse",
    ),
    *each(
        ALL, "padding changed", "indistinguishable", ("T218",), saved=Conv, live=lambda: Conv(padding=0),
        sealed="refuse",
    ),
    *each(
        ALL, "head count changed", "indistinguishable", ("T218",), saved=Attention, live=lambda: Attention(4),
        sealed="refuse",
    ),
    *each(ALL, "dropout rate changed", "indistinguishable", ("T218",), live=lambda: Net(dropout=0.3), sealed="warn"),
    *each(
        ALL, "momentum of BatchNorm changed", "indistinguishable", ("T218",), live=lambda: Net(momentum=0.3),
        sealed="warn",
    ),
    *each(
        ALL, "layer code changed", "indistinguishable", ("T219",), saved=first_code, live=second_code,
        sealed="warn",
    ),
    *each(("torch", "torch safetensors"), "plain, with a seal", "exact", saved=Net, sealed="exact", go_on=True),
    # wrappers
    *each(ALL, "saved from DataParallel", "exact", wrap_saved=parallel, truth=bare_names),
    *each(ALL, "saved from torch.compile", "exact", wrap_saved=compiled, truth=bare_names),
    *each(ALL, "saved from compiled DataParallel", "exact", wrap_saved=compiled_parallel, truth=bare_names),
    *each(ALL, "into DataParallel", "exact", wrap=parallel),
    *each(
        ALL, "saved from DataParallel, more classes", "lossy", ("T203",), wrap_saved=parallel,
        truth=bare_names, live=lambda: Net(classes=5),
    ),
    *each(
        ALL, "saved from DataParallel, layer removed at end", "leftover", ("T202",), wrap_saved=parallel,
        truth=bare_names, saved=Adapted, live=Net,
    ),
    *each(ALL, "into torch.compile", "exact", wrap=compiled),
]  # fmt: skip

OPTIMIZER_ROWS: list[Row] = [
    *each(BOTH, "plain, with scheduler", "exact", scheduler=steps, go_on=True),
    *each(BOTH, "plain, decay and no-decay groups", "exact", saved_optimizer=decay, go_on=True),
    *each(
        BOTH, "plain, groups by module", "exact",
        saved_optimizer=groups(("encoder", "decoder"), ("norm", "head")), go_on=True,
    ),
    *each(BOTH, "plain, named parameters", "exact", saved_optimizer=named, go_on=True),
    *each(BOTH, "named parameters in another order", "warn", ("O309",), saved_optimizer=backwards_named, go_on=True),
    *each(BOTH, "plain, frozen weights without state", "exact", saved_optimizer=frozen_all_given, go_on=True),
    *each(BOTH, "plain, optimizer over a subset", "exact", saved_optimizer=frozen_encoder, go_on=True),
    *each(
        BOTH, "plain, frozen weights without state, into stepped objects", "exact",
        saved_optimizer=frozen_all_given, live_trained=2, go_on=True,
    ),
    *each(BOTH, "plain, amsgrad", "exact", saved_optimizer=of(torch.optim.Adam, lr=0.01, amsgrad=True), go_on=True),
    *each(BOTH, "plain, SGD", "exact", saved_optimizer=sgd, go_on=True),
    *each(
        BOTH, "plain, SGD momentum", "exact", saved_optimizer=of(torch.optim.SGD, lr=0.01, momentum=0.9),
        go_on=True,
    ),
    *each(BOTH, "plain, RMSprop", "exact", saved_optimizer=of(torch.optim.RMSprop, lr=0.01), go_on=True),
    *each(BOTH, "plain, Adagrad", "exact", saved_optimizer=of(torch.optim.Adagrad, lr=0.01), go_on=True),
    *each(BOTH, "plain, LBFGS", "exact", saved_optimizer=of(torch.optim.LBFGS, lr=0.1, max_iter=4, history_size=6), go_on=True),
    *each(BOTH, "plain, Adafactor", "exact", saved_optimizer=of(torch.optim.Adafactor, lr=0.01), go_on=True),
    *each(BOTH, "saved before the first step", "exact", trained=0, go_on=True),
    *each(BOTH, "saved before the first step, into stepped objects", "exact", trained=0, live_trained=2, go_on=True),
    *each(
        BOTH, "fused and foreach flags differ", "exact",
        live_optimizer=of(torch.optim.Adam, lr=0.01, foreach=True),
    ),
    *each(BOTH, "optimizer Adam->SGD(no momentum)", "refuse", ("O202", "O203"), live_optimizer=sgd),
    *each(
        BOTH, "optimizer Adam->SGD(momentum)", "refuse", ("O203",),
        live_optimizer=of(torch.optim.SGD, lr=0.01, momentum=0.9),
    ),
    *each(
        BOTH, "optimizer SGD(momentum)->Adam", "refuse", ("O203",),
        saved_optimizer=of(torch.optim.SGD, lr=0.01, momentum=0.9), live_optimizer=adam,
    ),
    *each(BOTH, "optimizer SGD->Adam", "refuse", ("O203",), saved_optimizer=sgd, live_optimizer=adam),
    *each(BOTH, "optimizer Adam->AdamW", "refuse", ("O203",), live_optimizer=of(torch.optim.AdamW, lr=0.01)),
    *each(
        BOTH, "optimizer SGD(momentum)->RMSprop", "refuse", ("O203",),
        saved_optimizer=of(torch.optim.SGD, lr=0.01, momentum=0.9),
        live_optimizer=of(torch.optim.RMSprop, lr=0.01),
    ),
    *each(BOTH, "lr changed before restore", "refuse", ("O207",), live_optimizer=of(torch.optim.Adam, lr=0.02)),
    *each(
        BOTH, "betas changed", "refuse", ("O207",),
        live_optimizer=of(torch.optim.Adam, lr=0.01, betas=(0.8, 0.99)),
    ),
    *each(
        BOTH, "weight decay changed", "refuse", ("O207",),
        live_optimizer=of(torch.optim.Adam, lr=0.01, weight_decay=0.1),
    ),
    *each(BOTH, "lr decayed by a scheduler that is restored too", "exact", scheduler=steps, go_on=True),
    *each(BOTH, "lr decayed, scheduler not passed", "exact", scheduler=steps, live_scheduler=None),
    *each(
        BOTH, "lr changed in code under a scheduler", "exact", scheduler=steps,
        live_optimizer=of(torch.optim.Adam, lr=0.02),
    ),
    *each(
        BOTH, "lr changed in code, scheduler not passed", "refuse", ("O207",), scheduler=steps,
        live_scheduler=None, live_optimizer=of(torch.optim.Adam, lr=0.02),
    ),
    *each(BOTH, "scheduler passed, none in the file", "refuse", ("R201",), live_scheduler=steps),
    *each(BOTH, "param order changed for optimizer", "refuse", ("T210", "O209"), live_optimizer=backwards),
    *each(
        BOTH, "param order changed for optimizer, same shapes", "refuse", ("T210", "O209"),
        saved=lambda: stack((8, 8), (8, 8), (8, 8)),
        live_optimizer=lambda m: torch.optim.Adam([*m[1].parameters(), *m[0].parameters(), *m[2].parameters()], lr=0.01),
    ),
    *each(
        BOTH, "param order changed, names recorded", "warn", ("O309",), saved_optimizer=named,
        live_optimizer=backwards_named, truth=turned,
    ),
    *each(
        BOTH, "optimizer over a subset at load", "refuse", ("O205", "O206"),
        live_optimizer=groups(("decoder", "norm", "head")),
    ),
    *each(
        BOTH, "optimizer over a subset at save", "refuse", ("O205", "O206"), saved_optimizer=frozen_encoder,
        live_optimizer=adam,
    ),
    *each(
        BOTH, "param group split at load (1->2)", "refuse", ("O206",),
        live_optimizer=groups(("encoder", "decoder"), ("norm", "head")),
    ),
    *each(
        BOTH, "param groups joined at load (2->1)", "refuse", ("O206",),
        saved_optimizer=groups(("encoder", "decoder"), ("norm", "head")), live_optimizer=adam,
    ),
    *each(
        BOTH, "param groups in another order", "refuse", ("O206", "O209", "T210"),
        saved_optimizer=groups(("encoder",), ("decoder", "norm", "head")),
        live_optimizer=groups(("decoder", "norm", "head"), ("encoder",)),
    ),
    *each(
        BOTH, "amsgrad switched on", "refuse", ("O204", "O207"),
        live_optimizer=of(torch.optim.Adam, lr=0.01, amsgrad=True),
    ),
    *each(
        BOTH, "amsgrad switched off", "refuse", ("O204", "O207"),
        saved_optimizer=of(torch.optim.Adam, lr=0.01, amsgrad=True), live_optimizer=adam,
    ),
    *each(
        BOTH, "momentum switched on", "refuse", ("O204", "O207", "O201"), saved_optimizer=sgd,
        live_optimizer=of(torch.optim.SGD, lr=0.01, momentum=0.9),
    ),
    *each(BOTH, "optimizer state absent in ckpt", "refuse", ("O201",), saved_optimizer=None, live_optimizer=adam),
    *each(
        BOTH, "model's weights of a training checkpoint", "exact", scheduler=steps,
        wrap=lambda run: Run(run.model),
    ),
]  # fmt: skip

DAMAGE_ROWS: list[Row] = [
    *each(
        ("torch", "torch weights", "lightning"), "exponent bit flipped in tensor data", "refuse", ("F102",),
        saved=large, damage=flipped, sealed="refuse",
    ),
    *each(
        ("torch", "torch weights", "lightning"), "4 KB block zero-filled in data", "refuse", ("F102",),
        saved=large, damage=block_zeroed,
    ),
    *each(
        ("torch safetensors", "torch legacy"), "exponent bit flipped in tensor data", "indistinguishable", ("F102",),
        saved=large, damage=flipped, sealed="refuse",
    ),
    *each(
        ("torch safetensors", "torch legacy"), "4 KB block zero-filled in data", "warn", ("N103", "F102"),
        saved=large, damage=block_zeroed, sealed="refuse", truth=unknown,
    ),
    *each(ALL, "one byte truncated", "refuse", damage=cut(1)),
    *each(ALL, "half truncated", "refuse", damage=cut(0.5)),
    *each(ALL, "file is 0 bytes long", "refuse", damage=empty),
    *each(ALL, "file all zero, same length", "refuse", damage=zeroed),
]  # fmt: skip


ROWS: list[Row] = [*MODEL_ROWS, *OPTIMIZER_ROWS, *DAMAGE_ROWS]
