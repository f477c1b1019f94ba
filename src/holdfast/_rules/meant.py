"""Names of tensors in which zeros, infinities or type limits are meant, not lost or gone wrong.

A pattern is about the end of a name, where a tensor says what it is: ``attn.causal_mask`` is a mask,
``mask_head.conv.weight`` is a convolution like any other. Sources stand beside the patterns: initialisers in
the code of the libraries that are named there.
"""

from __future__ import annotations

import re

__all__ = ["extremes_are_meant", "starts_at_zero", "starts_at_zero_as_head"]

_CONTAINER = re.compile(r"^(?:[^/]*state_dict|state|model_state|model|net|checkpoint)/")
"""The dictionary that a weight lies in: its name says nothing about the weight."""
_ENDING = re.compile(r"/\.ATTRIBUTES/VARIABLE_VALUE$|:\d+$")

_ZERO_INIT = re.compile(
    r"""
    # the half of a low-rank update that makes it nothing at first: peft, loralib, kohya, Keras; LyCORIS
    (^|[./_]) lora_? ((kernel|embeddings?)_)? (b|up) (?![a-z])
    | (^|[./_]) lora_embeddings?_a (?![a-z])
    | (^|[./_]) (hada_w2|lokr_w[12]) (_|[./]|$)
    | (^|[./_]) adapters? \w* [./] (.+[./])? (b|out|fc2|up|\w+_up|up_\w+) [./] (weight|kernel)$
    # layers that say it: ControlNet's zero_convs, Glow's Conv2dZeros, zero_module
    | (^|[./_]) (zeros?|zero_?(conv|module|linear|init)\w*|conv\w*_?zeros?) ([./_]|$)
    | (^|[./]) controlnet_\w+ [./]
    # the last layer of a residual branch: guided diffusion and what descends from it; adaLN-zero of DiT
    | (^|[./]) proj_out [./] (weight|kernel)$
    | (^|[./]) (out_layers|out) [./] \d+ [./] weight$
    | (^|[./]) (adaln\w*|\w*modulation) [./]
    | (^|[./]) final_layer [./] linear [./]
    # offsets of deformable convolution and attention, boxes of deformable DETR, spatial transformers
    | (^|[./_]) offsets? (_conv|_mask)? [./] (weight|kernel)$
    | (^|[./]) attention_weights [./] (weight|kernel)$
    | (^|[./]) bbox_embed [./] (\d+[./])? layers [./] \d+ [./] weight$
    | (^|[./]) fc_loc [./] \d+ [./] weight$
    # gates of xLSTM
    | (^|[./]) [if]gate [./] (weight|kernel)$
    # shifts and means (Keras, torch, haiku), and the last norm of a residual branch (zero_init_residual)
    | (^|[./_]) (bias(es)?|b|beta|gamma|shifts?|offsets?|deltas?|(moving|running)_mean)$
    # parameters that are added to tokens: minGPT, TimeSformer, BEiT, SAM and ViTDet, BLIP-2, RoBERTa's unused types
    | (^|[./_]) (pos(ition(al)?)?|temporal|time) _? (emb|embed|embeddings?|encodings?)$
    | (^|[./_]) (rel(ative)?_pos(_[hw])?|relative_position_bias_table|bias_table)$
    | (^|[./_]) tokens?$
    | (^|[./_]) token_type_embeddings ([./] (weight|embeddings))?$
    # what is no parameter, in formats that call every array a weight
    | (^|[./_]) (masks?|buffers?|cache|hidden|states?|carry|residuals?|accum\w*|noise|anchors?|prev|padding(_row)?)$
    """,
    re.I | re.X,
)
_ZERO_HEAD = re.compile(r"(^|[./]) head ([./] (fc|conv|linear))? [./] (weight|kernel)$", re.I | re.X)
"""The classifier: zero at first in ViT, MLP-Mixer (JAX) and BiT; any training changes it."""

_EXTREME = re.compile(
    r"""
    # masks and biases that shut positions out
    (^|[./_]) (masks?|masked|masked_bias|mask_bias|causal|tril|triu|alibi\w*|(attn|attention)_bias(es)?|bias_table)$
    | (^|[./_]) causal_\w*(mask|bias)\w*$
    # bounds: observers of quantisation, best values so far (Lightning's ModelCheckpoint), scores of what is not there
    | (^|[./_]) ((min|max)_val(ue)?s?|eps|(neg_?)?inf|-inf|scores?|best(_\w+)?|kth_value)$
    # logarithms of probabilities that are zero: priors, transitions of a CRF
    | (^|[./_]) (log_priors?|(start_|end_)?transitions?(_params|_matrix|_scores)?|(start|end)_trans)$
    """,
    re.I | re.X,
)


def _plain(name: str) -> str:
    return _ENDING.sub("", _CONTAINER.sub("", name))


def starts_at_zero(name: str) -> bool:
    """Whether a weight of that name is all zeros before training, and may stay so where it is not trained."""
    return _ZERO_INIT.search(_plain(name)) is not None


def starts_at_zero_as_head(name: str) -> bool:
    """Whether it is a classifier's, which starts at zero in some models and never stays there."""
    return _ZERO_HEAD.search(_plain(name)) is not None


def extremes_are_meant(name: str) -> bool:
    """Whether infinities and the limits of the type are ordinary in a tensor of that name."""
    return _EXTREME.search(_plain(name)) is not None
