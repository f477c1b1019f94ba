"""PyTorch's loaders. Source files: ``torch/nn/modules/module.py`` (``load_state_dict``,
``_load_from_state_dict``), ``torch/optim/optimizer.py`` (``load_state_dict``), ``safetensors/torch.py``
(``load_model``), ``lightning/pytorch/trainer/connectors/checkpoint_connector.py``,
``torch/distributed/checkpoint/default_planner.py``.
"""

from __future__ import annotations

from .row import LoaderFact, Outcome, rows_of

__all__ = ["TORCH_ROWS"]

_MISSING = 'raise RuntimeError ("Missing key(s) in state_dict")'
_UNEXPECTED = 'raise RuntimeError ("Unexpected key(s) in state_dict")'
_BOTH = "raise RuntimeError (missing and unexpected keys in state_dict)"
_SIZE = 'raise RuntimeError ("size mismatch")'
_INITIAL = "leave {tensor} at its initial value and say nothing"

_Table = tuple[tuple[str, str, Outcome, str], ...]

# Where names agree, what happens does not depend on strict=.
_BY_NAME: _Table = (
    ("T203", "", "raises-at-load", _SIZE),
    ("T204", "narrows", "silent-wrong", "cast {tensor} without a word; what the smaller type cannot hold "
     "is rounded, or becomes inf"),
    ("T204", "", "silent-right", "cast {tensor} to the live type, which holds every value"),
    ("T206", "other-shape", "raises-at-load", _SIZE),
    ("T206", "", "silent-wrong", "load {tensor} transposed without a word, as its shape is the same"),
    ("T207", "partial", "raises-at-load", _MISSING),
    ("T207", "", "silent-wrong", "copy both into the one tied tensor, so that the last one wins silently"),
    ("T208", "", "silent-right", "fill both with the same values, which go apart with the next step"),
    ("T209", "", "silent-wrong", "load what stands under the name {tensor}, which is another layer's content, "
     "and say nothing"),
    ("T211", "", "silent-right", "put the checkpoint's values in {tensor}"),
    ("T212", "", "silent-right", "load {tensor} by its name, whether parameter or buffer"),
    ("T213", "", "silent-right", "leave requires_grad of {tensor} as it is; it is not stored"),
)  # fmt: skip

_STRICT: _Table = (
    ("T201", "", "raises-at-load", _MISSING),
    ("T202", "", "raises-at-load", _UNEXPECTED),
    *_BY_NAME,
    ("T205 T214 T215 T216", "", "raises-at-load", _BOTH),
)

_LENIENT: _Table = (
    ("T201", "", "silent-wrong", _INITIAL),
    ("T202", "", "silent-right", "ignore {tensor} of the checkpoint"),
    *(
        ("T207", "partial", "silent-right", "load the one tensor through the name that is there")
        if row[:2] == ("T207", "partial")
        else row
        for row in _BY_NAME
    ),
    ("T205 T214 T215", "", "silent-wrong", _INITIAL),
    ("T216", "", "silent-wrong", "match no name, load nothing and say nothing"),
)

# safetensors leaves out all but one name of tied tensors and knows which the model ties; it compares no
# shapes itself (module.py does).
_SAFETENSORS: _Table = tuple(
    ("T207", "", "raises-at-load", "raise RuntimeError (unexpected key: of tied names it stores and takes one)")
    if row[:2] == ("T207", "")
    else ("T207", "partial", "silent-right", "load the one tensor, as the file stores one name of a tied pair")
    if row[:2] == ("T207", "partial")
    else ("T208", "", "raises-at-load", "raise RuntimeError (missing key: of tied names the file stores one)")
    if row[0] == "T208"
    else row
    for row in _STRICT
)  # fmt: skip

_LIGHTNING: _Table = (
    *_STRICT,
    ("O201", "", "raises-at-load", "raise KeyError (a file without optimizer_states is not one to resume from)"),
    ("O203", "kin", "silent-wrong", "take the state of {a} for {b} and say nothing"),
    ("O206", "", "raises-at-load", "raise ValueError (parameter groups differ)"),
    ("O207", "", "silent-wrong", "put the checkpoint's {name} back over the one in the code and say nothing"),
    ("O209", "shapes_fit", "silent-wrong", "give every weight the momenta of the one at its position, silently"),
)  # fmt: skip

_DCP: _Table = (
    ("T201 T205 T214 T215", "", "raises-at-load", "raise CheckpointException (missing key in checkpoint "
     "state_dict)"),
    ("T216", "", "raises-at-load", "raise CheckpointException (missing key in checkpoint state_dict)"),
    ("T202", "", "silent-right", "not ask for {tensor} and leave it in the file"),
    ("T203", "", "raises-at-load", "raise CheckpointException (size mismatch)"),
    ("T206", "other-shape", "raises-at-load", "raise CheckpointException (size mismatch)"),
    ("T207", "partial", "raises-at-load", "raise CheckpointException (missing key in checkpoint state_dict)"),
    *(row for row in _BY_NAME if row[0] not in ("T203",) and row[1] not in ("other-shape", "partial")),
)  # fmt: skip

_OPTIMIZER: _Table = (
    ("O201", "", "raises-at-load", "raise KeyError: 'param_groups' (there is no state to load); left out, training "
     "goes on with fresh momenta and a fresh step count"),
    ("O202", "", "silent-right", "not be called; the state stays in the file"),
    ("O203", "kin", "silent-wrong", "take the state of {a} for {b} and say nothing"),
    ("O203", "asks-at-load", "raises-at-load", "raise KeyError: the state of {a} lacks what {b} keeps"),
    ("O203", "", "raises-later", "take it silently; the first step() then raises KeyError, as the groups and state "
     "are those of {a}"),
    ("O204", "option", "silent-wrong", "take the checkpoint's option (amsgrad, momentum, centered) over the one in the "
     "code, and with it keep this slot or not, silently"),
    ("O204", "", "silent-wrong", "take the state as it is; a weight without any starts afresh with the first step, "
     "silently"),
    ("O205", "more", "raises-at-load", 'raise ValueError ("parameter group that doesn\'t match the size")'),
    ("O205", "", "silent-wrong", "give the state by position to other weights, or start it afresh, and say nothing"),
    ("O206", "", "raises-at-load", "raise ValueError (parameter groups differ in number or size)"),
    ("O207", "", "silent-wrong", "put the checkpoint's {name} back over the one in the code and say nothing"),
    ("O208", "", "silent-right", "take the checkpoint's step count"),
    ("O209", "shapes_fit", "silent-wrong", "give every weight the momenta of the one at its position, silently"),
    ("O209", "", "raises-later", "take it silently; the first step() then raises RuntimeError where shapes differ"),
)  # fmt: skip

TORCH_ROWS: tuple[LoaderFact, ...] = (
    *rows_of("torch-strict", "failure matrix, column torch; torch/nn/modules/module.py", _STRICT),
    *rows_of("torch-lenient", "failure matrix, column torch strict=F; torch/nn/modules/module.py", _LENIENT),
    *rows_of("torch-optimizer", "failure matrix, column torch; torch/optim/optimizer.py", _OPTIMIZER),
    *rows_of("safetensors", "failure matrix, column safetensors; safetensors/torch.py", _SAFETENSORS),
    *rows_of("lightning", "failure matrix, column lightning", _LIGHTNING),
    *rows_of("dcp", "failure matrix, column dcp; torch/distributed/checkpoint", _DCP),
)
