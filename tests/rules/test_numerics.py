"""N: where each rule speaks and where it must not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from holdfast._core.spec import OptimizerSpec, Stored
from memory_catalog import Memory, found, normal, subject


def with_(values: np.ndarray, at: int, value: float) -> np.ndarray:
    values = values.copy()
    values.reshape(-1)[at] = value
    return values


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn]
)
def test_nan_in_a_weight_is_an_error(dtype) -> None:
    of = subject(Memory({"fc.weight": with_(normal(8, 8), 13, np.nan).astype(dtype), "fc.bias": normal(8)}))
    (finding,) = found("nan", of)
    assert finding.severity == "error"
    assert finding.tensors == ("fc.weight",)
    assert "1 of 64" in str(finding.evidence)


def test_nan_in_a_metric_is_a_note_and_in_a_few_unnamed_numbers_a_warning() -> None:
    metric = Memory({"best": np.array(np.nan, np.float32)}, {"best": {"role": "metric"}})
    assert [f.severity for f in found("nan", subject(metric))] == ["note"]
    assert [f.severity for f in found("nan", subject(Memory({"x": np.array([1.0, np.nan])})))] == ["warning"]
    assert found("nan", subject(Memory({"fc.weight": normal(8, 8)}))) == []


def test_infinity_is_an_error_in_weights_and_silent_in_masks() -> None:
    bad = Memory({"fc.weight": with_(normal(8, 8), 3, np.inf).astype(np.float16)})
    assert [f.severity for f in found("infinite", subject(bad))] == ["error"]
    mask = np.triu(np.full((8, 8), -np.inf, np.float32), 1)
    assert (
        found(
            "infinite", subject(Memory({"attn.causal_mask": mask}, {"attn.causal_mask": {"role": "buffer"}}))
        )
        == []
    )
    assert found("infinite", subject(Memory({"attn.cache": mask}, {"attn.cache": {"role": "buffer"}}))) == []


def test_a_zeroed_page_amid_dense_values() -> None:
    values = normal(64, 500)
    flat = values.reshape(-1)
    flat[2048 : 2048 + 1024] = 0
    stored = {"stored": (Stored("m.bin", 4096 * 3, values.nbytes),)}
    (finding,) = found("zeroed-pages", subject(Memory({"w": values}, {"w": stored})))
    assert finding.severity == "error"
    assert finding.where.offset == 4096 * 3 + 8192
    assert finding.evidence["confidence"] == "likely"


def test_a_page_of_the_file_that_is_no_page_of_the_tensor() -> None:
    values = normal(64, 500)
    raw = values.view(np.uint8).reshape(-1)
    offset = 1234  # of the tensor in its file; page 2 of the file begins within an element
    raw[8192 - offset : 12288 - offset] = 0
    stored = {"stored": (Stored("m.bin", offset, values.nbytes),)}
    (finding,) = found("zeroed-pages", subject(Memory({"w": values}, {"w": stored})))
    assert finding.severity == "error"


def in_a_row(start: int, end: int, *, gap: int = 0, first: int = 624, **changed: np.ndarray) -> Memory:
    """Three dense tensors one behind the other in a file, zero from byte ``start`` of the file to byte ``end``."""
    arrays = {name: normal(200, 100, seed=seed) for seed, name in enumerate("abc", 3)} | changed
    stored, at = {}, first
    for name, values in arrays.items():
        raw = values.view(np.uint8).reshape(-1)
        raw[max(0, start - at) : max(0, end - at)] = 0
        stored[name] = {"stored": (Stored("m.safetensors", at, values.nbytes),)}
        at += values.nbytes + gap
    return Memory(arrays, stored)


@pytest.mark.parametrize(
    ("start", "end", "over"),
    [(65536, 208896, "a, b, c"), (65536, 94208, "a, b"), (69632, 172032, "a, b, c")],
)
def test_a_hole_over_several_tensors(start: int, end: int, over: str) -> None:
    (finding,) = found("zeroed-pages", subject(in_a_row(start, end)))
    assert finding.severity == "error" and ", ".join(finding.tensors) == over
    assert finding.where.offset == start and finding.evidence["seen"] == [{"at": start, "bytes": end - start}]


@pytest.mark.parametrize(
    "of",
    [
        in_a_row(65536 + 400, 208896),  # begins on no page
        in_a_row(65536, 208896 - 400),  # ends on none
        in_a_row(624 + 150 * 400, 624 + 250 * 400),  # rows of both
        in_a_row(
            4096 + 150 * 1024, 4096 + 250 * 1024, first=4096, **{n: normal(200, 256) for n in "abc"}
        ),  # on pages
        in_a_row(80624, 160624),  # a tensor as a whole
        in_a_row(65536, 208896, a=normal(200, 100) * (normal(200, 100, seed=9) > 0)),  # zeros elsewhere too
        in_a_row(65536, 208896, gap=5000),  # something lies between them
    ],
)
def test_zeros_over_several_tensors_that_are_no_hole(of: Memory) -> None:
    assert [
        f for f in found("zeroed-pages", subject(of)) if f.severity == "error" and len(f.tensors) > 1
    ] == []


def test_a_zeroed_block_at_no_page_boundary_is_a_warning() -> None:
    values = normal(64, 500)
    values.reshape(-1)[777 : 777 + 1024] = 0
    assert [f.severity for f in found("zeroed-pages", subject(Memory({"w": values})))] == ["warning"]


@pytest.mark.parametrize("kind", ["rows", "sparse", "relu", "dense", "whole", "pruned"])
def test_structural_zeros_are_silent(kind: str) -> None:
    values = normal(64, 2048)
    if kind == "rows":
        values[10:12] = 0  # words never seen: 16 KiB, page-aligned, and whole rows
    elif kind == "sparse":
        values[np.random.default_rng(1).random(values.shape) < 0.9] = 0
        values.reshape(-1)[4096:8192] = 0
    elif kind == "relu":
        values = np.maximum(values, 0)
        values.reshape(-1)[4096:8192] = 0
    elif kind == "whole":
        values[:] = 0
    elif kind == "pruned":
        values[:, 100:] = 0
    assert found("zeroed-pages", subject(Memory({"w": values}))) == []


def test_a_dead_kernel_beside_living_ones() -> None:
    of = subject(
        Memory(
            {
                "a.weight": normal(16, 16),
                "b.weight": np.zeros((16, 16), np.float32),
                "c.weight": normal(4, 16),
            }
        )
    )
    (finding,) = found("dead-tensor", of)
    assert finding.tensors == ("b.weight",)
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    "name, shape, role",
    [
        ("fc.bias", (64,), "weight"),
        ("bn.running_mean", (64,), "buffer"),
        ("optimizer/m", (16, 16), "slot"),
        ("layer.lora_B.weight", (16, 4), "weight"),
        ("zero_conv.weight", (16, 16), "weight"),
        ("pos_embed", (1, 16, 16), "weight"),
        ("padding_row", (1, 32), "weight"),
    ],
)
def test_what_is_zero_by_nature_is_silent(name: str, shape: tuple[int, ...], role: str) -> None:
    of = Memory({"a.weight": normal(16, 16), name: np.zeros(shape, np.float32)}, {name: {"role": role}})
    assert found("dead-tensor", subject(of)) == []


ZERO_BY_INITIALISER = """
lora_B.default.weight  base_model.model.q.lora_B.weight  unet.to_q.lora_up.weight  dense/lora_kernel_b  emb/lora_embeddings_a
base_model.model.embed.lora_embedding_A.default  lora.hada_w2_a  lora.lokr_w2  adapters.3.up.weight  adapter/proj_up/kernel
control_model.zero_convs.0.0.weight  controlnet_down_blocks.1.weight  flow.conv_zeros.weight  conv2d_zero.kernel
middle_block.1.proj_out.weight  output_blocks.3.0.out_layers.3.weight  out.2.weight
blocks.3.adaLN_modulation.1.weight  final_layer.linear.weight  double_blocks.0.img_mod.modulation.lin.weight
layer.conv_offset.weight  encoder.layers.0.self_attn.sampling_offsets.weight  self_attn.attention_weights.weight
bbox_embed.0.layers.2.weight  fc_loc.2.weight  blocks.1.xlstm.igate.weight  gru/bias  gru/bias:0  norm.gamma  offsets
mha/query/bias/.ATTRIBUTES/VARIABLE_VALUE  pos_emb  model/pos_embed  beit.position_embeddings  blocks.0.attn.rel_pos_h
relative_position_bias_table  query_tokens  roberta.embeddings.token_type_embeddings.weight  kv_cache  lstm/hidden  mask
"""
ORDINARY = """
head.0.conv.weight  heads.3.weight  attention.head_proj.weight  lm_head.weight  position_embedding.weight
wpe.position_embeddings.weight  position_embedding/embeddings  decoder.hidden_layer.kernel  residual_block.conv.weight
mlp.gate_proj.weight  moe.gate.weight  mask_decoder.transformer.weight  mask_head.conv.weight  ema.net.weight
scale_net.weight  alpha_net.weight  state_encoder.weight  attn.out_proj.weight  cache_embed.weight  prev_proj.weight
output_blocks.1.conv.weight  noise_net.kernel  anchor_head.weight  shift_mlp.weight  adapter.down.weight  lora_A.weight
delta_net.weight  buffer_net.weight  prompt_encoder.fc.weight  zebra.weight
"""


@pytest.mark.parametrize("name", ZERO_BY_INITIALISER.split())
def test_what_an_initialiser_leaves_at_zero_is_silent(name: str) -> None:
    of = Memory({"a.weight": normal(16, 16), name: np.zeros((16, 16), np.float32)})
    assert found("dead-tensor", subject(of)) == []


@pytest.mark.parametrize("name", ORDINARY.split())
def test_what_only_sounds_like_it_is_told(name: str) -> None:
    of = Memory(
        {"a.weight": normal(16, 16), "c.weight": normal(16, 16), name: np.zeros((16, 16), np.float32)}
    )
    assert [f.tensors for f in found("dead-tensor", subject(of))] == [(name,)]


@pytest.mark.parametrize("step, told", [(None, 0), (1, 0), (2, 1)])
@pytest.mark.parametrize("name", ["head.weight", "model/head/kernel", "head.fc.weight"])
def test_a_zero_head_is_told_where_training_was_under_way(name: str, step: int | None, told: int) -> None:
    arrays = {"a.weight": normal(16, 16), "c.weight": normal(16, 16), name: np.zeros((16, 16), np.float32)}
    of = Memory(arrays, optimizers=() if step is None else (OptimizerSpec("opt", step=step),))
    assert len(found("dead-tensor", subject(of))) == told


EXTREME = """
attn.causal_mask  causal_bias  attn_mask  h.0.attn.masked_bias  attention_bias  alibi  tril  observer.min_val  max_vals  best
best_score  kth_value
crf.transitions  crf.start_transitions  transition_params  log_prior  key_padding_mask/.ATTRIBUTES/VARIABLE_VALUE
"""
NO_EXTREME = """
score.weight  mask_head.conv.weight  mask_decoder.weight  causal_conv.weight  transition1.conv.weight  steps.weight
best_model.fc.weight  reps.kernel  conv_inf.weight  scorer.kernel
"""


@pytest.mark.parametrize("name", EXTREME.split())
def test_infinity_is_meant_under_these_names(name: str) -> None:
    assert found("infinite", subject(Memory({name: with_(normal(8, 8), 3, -np.inf)}))) == []


@pytest.mark.parametrize("name", NO_EXTREME.split())
def test_infinity_is_told_under_names_that_only_sound_like_these(name: str) -> None:
    assert [
        f.severity for f in found("infinite", subject(Memory({name: with_(normal(8, 8), 3, -np.inf)})))
    ] == ["error"]


def test_nothing_is_dead_before_the_first_step() -> None:
    of = Memory(
        {"a.weight": normal(16, 16), "b.weight": np.zeros((16, 16), np.float32)},
        optimizers=(OptimizerSpec("opt", step=0),),
    )
    assert found("dead-tensor", subject(of)) == []


def test_exploded_weights() -> None:
    (finding,) = found("exploded", subject(Memory({"a": normal(8, 8) * np.float32(1e35)})))
    assert finding.severity == "warning"
    assert found("exploded", subject(Memory({"a": normal(8, 8) * 1000}))) == []
    top = np.full((8, 8), np.finfo(np.float32).max, np.float32)
    assert found("exploded", subject(Memory({"a": top}))) == [], "a sentinel is no explosion"


def test_one_flipped_exponent_bit() -> None:
    values = normal(64, 64)
    bits = values.view(np.uint32).reshape(-1)
    bits[77] ^= 1 << 30
    (finding,) = found("absurd-values", subject(Memory({"w": values})))
    assert finding.severity == "error"
    assert finding.evidence["seen"]["above 1e10"] == 1
    assert found("exploded", subject(Memory({"w": values}))) == [], "one cause, one rule"
    assert found("absurd-values", subject(Memory({"w": normal(64, 64)}))) == []


def test_negative_variance() -> None:
    bad = with_(np.abs(normal(32)), 5, -0.5)
    spec = {"bn.running_var": {"role": "buffer"}}
    assert [
        f.severity for f in found("negative-variance", subject(Memory({"bn.running_var": bad}, spec)))
    ] == ["error"]
    assert found("negative-variance", subject(Memory({"bn.running_var": np.abs(bad)}, spec))) == []
    assert found("negative-variance", subject(Memory({"bn.running_mean": bad}))) == []
    slot = {"opt/0/exp_avg_sq": {"role": "slot", "slot": "exp_avg_sq"}}
    assert len(found("negative-variance", subject(Memory({"opt/0/exp_avg_sq": bad}, slot)))) == 1


def test_float16_overflow_only_where_the_checkpoint_says_float16() -> None:
    wide = np.full((4, 4), 70000.0, np.float32)
    assert found("overflows-float16", subject(Memory({"w": wide}))) == []
    of = Memory({"w": wide, "h": normal(4, 4, dtype=np.float16)})
    assert [f.severity for f in found("overflows-float16", subject(of))] == ["note"]
    of = Memory({"w": wide}, attributes={"dtype_policy": "mixed_bfloat16"})
    assert found("overflows-float16", subject(of)) == []


def test_quantised_scale() -> None:
    def of(scale: float):
        codes = np.ones((4, 4), np.int8)
        return subject(
            Memory({"q": codes}, {"q": {"dtype": "qint8", "attributes": {"scale": scale, "zero_point": 0}}})
        )

    assert len(found("quantised-scale", of(0.0))) == 1
    assert len(found("quantised-scale", of(float("nan")))) == 1
    assert found("quantised-scale", of(0.1)) == []
