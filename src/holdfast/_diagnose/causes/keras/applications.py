"""Keras: pretrained weights of `keras.applications`, their download, and number types of a model that is called after loading.

Messages: keras/src/applications/*.py, keras/src/utils/file_utils.py, tensorflow/python/keras/applications/*.py,
tensorflow/python/client/session.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone


def fed(look: Look) -> list[Guess]:
    """A weight's place (its shape is whole), or the place of a batch of data (which has an open size)."""
    if re.search(r"[?N]", look.match["place"]) is not None and not look.around.loading:
        return []
    turned = sorted(re.findall(r"\d+", look.match["place"])) == sorted(re.findall(r"\d+", look.match["b"]))
    return [
        look.entry.guess(look, confidence=0.74),
        look.entry.guess(look, "version-mismatch", confidence=0.8 if turned else 0.56),
        look.entry.guess(look, "missing-tensor", confidence=0.4),
    ]


def list_of(look: Look) -> list[Guess]:
    """An optimizer that has no variables yet, or others."""
    if look.match["want"] != "0":
        return [
            look.entry.guess(look, confidence=0.9),
            look.entry.guess(look, "version-mismatch", confidence=0.5),
        ]
    return [
        look.entry.guess(
            look,
            "lazy-build",
            confidence=0.84,
            why="the optimizer has no variables yet: it never made a step",
        ),
        look.entry.guess(look, confidence=0.8),
        look.entry.guess(look, "topology", confidence=0.36),
    ]


ENTRIES = (
    Entry(
        "keras-weights-argument",
        "not-found",
        ("path to the weights file to be loaded", "`weights` argument should be either"),
        "",
        why="`weights` names no file that is there (nor a set that Keras knows)",
        remedy="Check the path and the working folder.",
        weigh=ranked(("not-found", 0.88), ("format-mismatch", 0.46), ("version-mismatch", 0.4)),
        test="path",
        example=(
            "ValueError: The `weights` argument should be either `None`, `imagenet`, or the path to the weights "
            "file to be loaded."
        ),
    ),
    Entry(
        "keras-imagenet-classes",
        "shape-mismatch",
        ("`imagenet` weights", "if using `weights` as"),
        r"include_top=True`? and loading `imagenet` weights|If using `weights` as `?['\"]imagenet",
        why="the pretrained weights have a head of 1000 classes and an input of their own size",
        remedy="`include_top=False` with a head of your own, or the size and classes that the weights have.",
        weigh=ranked(("shape-mismatch", 0.8), ("missing-tensor", 0.46), ("preprocessing", 0.42)),
        example="ValueError: If using `weights` as `'imagenet'` with `include_top` as true, `classes` should be 1000",
    ),
    Entry(
        "keras-fetch-failed",
        "not-found",
        ("url fetch failure",),
        r"URL fetch failure on (?P<path>\S{1,300})",
        why="the pretrained weights could not be fetched ({path}): no network, or they are no longer there",
        remedy="Fetch the file by other means into ~/.keras/models, or give its path as `weights`.",
        weigh=lambda look: _not_fetched(look),
        example="Exception: URL fetch failure on https://host/vgg16_weights.h5 : None -- [Errno 110] Connection timed out",
    ),
    Entry(
        "keras-fed-weight",
        "shape-mismatch",
        ("cannot feed value of shape",),
        r"Cannot feed value of shape (?P<b>\([\d, ]*\)) for Tensor u?'(?P<name>[^']+)', which has shape '(?P<place>\([^']*\))'",
        why="a weight of shape {b} is set where the model has {place}",
        remedy="Build the model as it was saved; kernels of Theano's order are to be converted.",
        where=loading_or_alone,
        weigh=fed,
        test="names",
        example="ValueError: Cannot feed value of shape (512,) for Tensor 'Placeholder_2:0', which has shape '(1000,)'",
    ),
    Entry(
        "keras-optimizer-list",
        "optimizer-structure",
        ("length of the specified weight list",),
        r"Length of the specified weight list \((?P<got>\d+)\) does not match the number of weights of the"
        r" optimizer \((?P<want>\d+)\)",
        why="the optimizer was given {got} weights and has {want}",
        remedy=(
            "Let it make its variables first (one step with zero gradients), with the same trainable layers as "
            "when it was saved."
        ),
        weigh=list_of,
        example="ValueError: Length of the specified weight list (36) does not match the number of weights of the optimizer (37)",
    ),
    Entry(
        "keras-number-types-in-call",
        "dtype-mismatch",
        (
            "that does not match type",
            "no common supertype of tensorspec",
            "inputs incompatible with input_signature",
        ),
        r"has type (?P<a>b?float\w*) that does not match type (?P<b>b?float\w*)"
        r"|No common supertype of TensorSpec\(.{1,80}?dtype=tf\.(?P<a2>\w+).{1,120}?dtype=tf\.(?P<b2>\w+)"
        r"|inputs incompatible with input_signature.{0,200}?dtype=(?:tf\.)?(?P<a3>\w+).{0,200}?dtype=tf\.(?P<b3>\w+)",
        why="the model was saved under another precision policy than it is called in: {a} and {b}",
        remedy="Set the policy before the model is made (`keras.mixed_precision.set_global_policy`), and cast its inputs.",
        where=loading_or_alone,
        weigh=lambda look: _called(look),
        example=(
            "ValueError: No common supertype of TensorSpec(shape=(None,), dtype=tf.float32, name=None) and "
            "TensorSpec(shape=(None,), "
            "dtype=tf.float16, name='x')."
        ),
    ),
    Entry(
        "keras-number-of-weights-skipped",
        "missing-tensor",
        ("due to mismatch in number of weights",),
        r"due to mismatch in number of weights \((?P<want>\d+) vs (?P<got>\d+)\)",
        why="a layer has {want} weights in the model and {got} in the file, and was left as it was",
        remedy="Build the layer as it was saved. `holdfast check FILE module:factory` lists the layers on both sides.",
        weigh=lambda look: _skipped(look),
        example="UserWarning: Skipping loading of weights for layer head due to mismatch in number of weights (2 vs 1).",
    ),
)


def _skipped(look: Look) -> list[Guess]:
    """Fewer weights in the file than in the model, or more."""
    fewer = int(look.match["want"]) > int(look.match["got"])
    return [
        look.entry.guess(look, "missing-tensor" if fewer else "unexpected-tensor", confidence=0.78),
        look.entry.guess(look, "version-mismatch", confidence=0.56),
        look.entry.guess(look, "shape-mismatch", confidence=0.5),
    ]


def _called(look: Look) -> list[Guess]:
    """Two number types; where they are the same, shapes differ."""
    facts = look.facts()
    if facts.get("a", "") == facts.get("b"):
        rows = (("shape-mismatch", 0.66), ("version-mismatch", 0.6), ("preprocessing", 0.52))
    else:
        rows = (("dtype-mismatch", 0.82), ("version-mismatch", 0.5), ("preprocessing", 0.44))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def _not_fetched(look: Look) -> list[Guess]:
    """Gone from there, or not to be reached."""
    gone = "404" in look.reading.flat or "not found" in look.reading.lower
    rows = (("not-found", 0.78), ("storage", 0.7), ("other", 0.5))
    if not gone:
        rows = (("storage", 0.78), ("not-found", 0.72), ("other", 0.5))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
