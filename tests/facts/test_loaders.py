"""The rows on loaders as a table: complete, without doubles, and good sentences. That they are true is shown by the
tests that run the frameworks (``test_loaders_torch.py``, ``test_loaders_keras.py``, ``test_loaders_jax.py``)."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from holdfast._core.difference_kinds import DIFFERENCES
from holdfast._facts.loaders import LOADERS, OUTCOMES, ROWS, loaders_of, row_for, what_the_framework_does
from holdfast._facts.loaders.row import widens

# ambiguous and not-comparable are about what Holdfast can tell, a role about how Keras and JAX list things
UNTOLD = {
    "T210": "*",
    "T217": "*",
    "T212": "keras-weights keras-archive keras-legacy keras-model tf-restore flax-bytes orbax",
    "O206": "keras-weights keras-archive keras-legacy keras-model tf-restore flax-bytes orbax",
    "O209": "flax-bytes orbax",
    "T207": "flax-bytes orbax",
    "T208": "flax-bytes orbax",
    "T213": "flax-bytes orbax",
}
TENSORS_ONLY = ("torch-strict", "torch-lenient", "safetensors", "dcp")
CODES = [
    c for c in DIFFERENCES if c in {f"T2{n:02}" for n in range(1, 17)} | {f"O20{n}" for n in range(1, 10)}
]


@pytest.mark.parametrize("loader, code", itertools.product(LOADERS, CODES))
def test_every_kind_of_difference_has_its_row(loader: str, code: str) -> None:
    told = any(r.loader == loader and r.code == code for r in ROWS)
    expected = not (UNTOLD.get(code) == "*" or loader in UNTOLD.get(code, "").split())
    if code.startswith("O"):
        expected = expected and loader not in TENSORS_ONLY
        if loader == "lightning":
            expected = code in ("O201", "O203", "O206", "O207", "O209")
    elif loader == "torch-optimizer":
        expected = False
    assert told == expected


def test_rows_are_each_there_once_and_reachable() -> None:
    assert not [k for k, n in Counter((r.loader, r.code, r.when) for r in ROWS).items() if n > 1]
    for index, row in enumerate(ROWS):
        assert row.loader in LOADERS and row.code in DIFFERENCES and row.outcome in OUTCOMES and row.source
        before = [r for r in ROWS[:index] if (r.loader, r.code) == (row.loader, row.code)]
        assert not any(r.when <= row.when for r in before), f"{row} is hidden by an earlier row"


@pytest.mark.parametrize(
    "framework, form, code, details, sentence",
    [
        ("tensorflow", "tf-bundle", "T201", {},
         "tf.train.Checkpoint.restore would leave `head/kernel` at its initial value and say nothing"),
        ("keras", "tf-bundle", "O207", {"name": "learning_rate"},
         "tf.train.Checkpoint.restore would put the checkpoint's learning_rate back over the one in the code and "
         "say nothing"),
        ("keras", "tf-bundle", "O207", {"name": "beta_1"},
         "tf.train.Checkpoint.restore would leave beta_1 as in the code; it is not in the checkpoint"),
        ("torch", "torch-zip", "T201", {},
         'load_state_dict would raise RuntimeError ("Missing key(s) in state_dict"); with strict=False it would '
         "leave `head/kernel` at its initial value and say nothing"),
        ("torch", "torch-zip", "T203", {}, 'load_state_dict would raise RuntimeError ("size mismatch")'),
        ("torch", "torch-zip", "O203", {"a": "Adam", "b": "AdamW"},
         "optimizer.load_state_dict would take the state of Adam for AdamW and say nothing"),
        ("keras", "keras-weights-h5", "T206", {"a": [3, 4], "b": [4, 3]},
         "model.load_weights would raise ValueError (shape mismatch)"),
        ("torch", "torch-zip", "T201", {"loader": "lightning"},
         'Lightning\'s fit(ckpt_path=...) would raise RuntimeError ("Missing key(s) in state_dict")'),
    ],
)  # fmt: skip
def test_sentences(framework: str, form: str, code: str, details: dict[str, object], sentence: str) -> None:
    assert what_the_framework_does(framework, form, code, tensor="head/kernel", details=details) == sentence


@pytest.mark.parametrize(
    "framework, form, code",
    [("torch", "keras-archive", "T201"), ("keras", "torch-zip", "T201"), ("numpy", "npz", "T201"),
     ("jax", "npz", "T201"), ("torch", "torch-zip", "T210"), ("tensorflow", "keras-weights-h5", "T201")],
)  # fmt: skip
def test_nothing_is_said_where_no_loader_of_the_framework_takes_such_a_file(
    framework: str, form: str, code: str
) -> None:
    assert what_the_framework_does(framework, form, code, tensor="w", details={}) is None


def test_every_template_can_be_filled() -> None:
    for row in ROWS:
        text = row.text.format(tensor="`w`", a="Adam", b="SGD", name="lr")
        assert "{" not in text and "  " not in text and not text.endswith(".") and text[0].islower(), row


def test_loaders_are_chosen_by_framework_and_file() -> None:
    assert loaders_of("torch", "torch-zip", "T201") == ("torch-strict", "torch-lenient")
    assert loaders_of("torch", "safetensors", "T201") == ("safetensors",)
    assert loaders_of("torch", "torch-zip", "O207") == ("torch-optimizer",)
    assert row_for("torch-strict", "T204", {"a": "float32", "b": "float16"}).outcome == "silent-wrong"  # type: ignore[union-attr]
    assert row_for("torch-strict", "T204", {"a": "float16", "b": "float32"}).outcome == "silent-right"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "a, b, fits", [("float16", "float32", True), ("bfloat16", "float16", False), ("float16", "bfloat16", False),
                   ("bfloat16", "float32", True), ("int32", "int64", False), ("int8", "int8", True)]
)  # fmt: skip
def test_which_float_types_hold_all_of_another(a: str, b: str, fits: bool) -> None:
    assert widens(a, b) is fits
