"""Tensors that one implementation keeps apart and another in one piece, by the names of their modules."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FUSIONS", "Fusion"]


class Fusion(NamedTuple):
    """Names of the parts, in the order in which they are joined (along the output axis), and names of the
    whole."""

    parts: tuple[tuple[str, ...], ...]
    whole: tuple[str, ...]
    source: str


FUSIONS: tuple[Fusion, ...] = (
    Fusion(
        (
            ("q_proj", "k_proj", "v_proj"),
            ("query", "key", "value"),
            ("q", "k", "v"),
            ("to_q", "to_k", "to_v"),
            ("q_lin", "k_lin", "v_lin"),
            ("wq", "wk", "wv"),
        ),
        ("in_proj", "qkv", "qkv_proj", "c_attn", "query_key_value", "Wqkv", "to_qkv"),
        "torch/nn/modules/activation.py, MultiheadAttention.in_proj_weight: rows of q, k and v in that order",
    ),
    Fusion(
        (("gate_proj", "up_proj"), ("w1", "w3")),
        ("gate_up_proj", "gate_up", "w13"),
        "transformers/models/phi3/modeling_phi3.py, Phi3MLP.gate_up_proj: gate first",
    ),
)
