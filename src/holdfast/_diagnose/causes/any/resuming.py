"""What shows in numbers and behaviour after a restore: metrics, state that did not come back, preprocessing."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, loading_where
from ...where import loading_or_alone, storing

_HEADS = (
    "classifier",
    "pooler",
    "score",
    "lm_head",
    "head",
    "cls",
    "qa_outputs",
    "out_proj",
    "predictions",
    "fc",
)


def newly(look: Look) -> list[Guess]:
    """Names that were left at random values: a new head, or the whole body under other names."""
    names = re.findall(r"'([\w./:]+)'", look.reading.flat[look.match.start() :])[:200]
    if "not used when initializing" in look.match[0]:
        return [
            look.entry.guess(look, "unexpected-tensor", confidence=0.78),
            look.entry.guess(look, "renamed", confidence=0.45),
        ]
    body = [name for name in names if not any(word in name.lower() for word in _HEADS)]
    if len(body) >= 4:
        why = (
            "nearly all weights of the model's body are newly initialised, so the file holds them under other names "
            "(a prefix, another class)"
        )
        return [
            look.entry.guess(look, "renamed", confidence=0.8, why=why),
            look.entry.guess(look, confidence=0.66),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "renamed", confidence=0.4)]


def told_in_words(look: Look) -> list[Guess]:
    """A symptom in words; a traceback or a log would say more than such words in it."""
    return [] if look.reading.frames or look.reading.log else [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "hf-newly-initialised",
        "missing-tensor",
        (
            "newly initialized",
            "were not initialized from the model checkpoint",
            "were not used when initializing",
            "some weights of",
            "some layers of",
            "some weights from",
            "some layers from",
        ),
        r"Some (?:weights|layers) (?:of|from) (?:the model checkpoint at )?(?P<model>[\w./\-]+) were not (?:initialized from"
        r"|used when initializing)|newly initialized: (?P<names>.{0,200})",
        why="the checkpoint lacks tensors that the model has; they stay at random values ({names})",
        remedy=(
            "Expected for a new head; else load the class that was saved, and check prefixes (`base_model.`, "
            "`model.`)."
        ),
        also=("renamed", "unexpected-tensor", "version-mismatch"),
        weight=0.82,
        weigh=newly,
        test="names",
        example=(
            "Some weights of BertForX were not initialized from the model checkpoint at ./ckpt and are newly "
            "initialized: ['classifier.weight']"
        ),
    ),
    Entry(
        "metric-differs",
        "metrics",
        ("load", "restor", "sav", "checkpoint"),
        r"(?:(?:accuracy|loss|metric|score|mAP|predictions?|outputs?|results?)\b[^.;:]{0,120}(?:differ|different"
        r"|lower|worse|drops?|random|inconsistent|not (?:the )?same|chang)\w*[^.;:]{0,160}(?:load|restor|reload|sav"
        r"|checkpoint)|(?:load|restor|reload|sav|checkpoint)\w*[^.;:]{0,160}(?:accuracy|loss|metric|score|mAP"
        r"|predictions?|outputs?|results?)\b[^.;:]{0,100}(?:differ|different|lower|worse|drops?|random|inconsistent"
        r"|not (?:the )?same))",
        why="a restored model measures something else than was logged",
        remedy=(
            "`holdfast audit CKPT module:evaluate`: it restores, measures again, and tests the causes (eval mode, "
            "BatchNorm statistics, EMA weights, preprocessing, a running average)."
        ),
        also=("resume-state", "missing-tensor", "preprocessing"),
        weight=0.55,
        weigh=told_in_words,
        example="After loading the checkpoint the accuracy is much lower than before saving",
    ),
    Entry(
        "resume-broken",
        "resume-state",
        ("resum", "rng file", "ignoring the", "rng state must be a torch.bytetensor", "continu"),
        r"(?:resum|continu)\w*[^.;:]{0,160}(?:loss (?:jump|spike|increase)|start(?:s|ed|ing)? (?:from|at|over)"
        r"|epoch 0|same (?:data|batches|order)|restarts?|from scratch|not restored)|Ignoring the (?:random"
        r"|rng) state|RNG state must be a torch\.ByteTensor|can't (?:find|load) RNG file"
        r"|Didn't find an RNG file",
        why="a part of the training state did not come back: random state, data position, step, scheduler or scaler",
        remedy="Save and restore them too (`holdfast.Vault` does); `holdfast drill SCRIPT` finds which one is missing.",
        also=("optimizer-hyperparameters", "metrics"),
        weight=0.6,
        example=(
            "Didn't find an RNG file for process 1, if you are resuming a training that wasn't launched in a "
            "distributed fashion, reproducibility is not guaranteed."
        ),
    ),
    Entry(
        "rng-bytetensor",
        "resume-state",
        ("rng state must be", "rng state is wrong size"),
        r"RNG state must be a torch\.ByteTensor|RNG state is wrong size",
        why="the random state was mapped to another device or type when it was loaded",
        remedy="Load it with map_location='cpu', and pass `state.cpu()`.",
        also=("device-mismatch",),
        weight=0.9,
        example="TypeError: RNG state must be a torch.ByteTensor",
    ),
    Entry(
        "tokenizer-size",
        "preprocessing",
        ("tokenizer", "vocab", "index out of range in self", "feature", "label"),
        r"index out of range in self|(?:tokenizer|vocab\w*|label[_ ]?map|feature names).{0,120}(?:mismatch"
        r"|differ|does not match|not match|should match|unseen|larger than)",
        why=(
            "the input pipeline is not the one that the model was trained with: a token, label or feature lies "
            "outside of what the model knows"
        ),
        remedy="Load tokenizer, label map and scalers that were saved with the checkpoint.",
        context=("tokenizer", "vocab", "label map", "label_map", "checkpoint", "from_pretrained"),
        only_in=True,
        also=("shape-mismatch",),
        weight=0.6,
        example="IndexError: index out of range in self (embedding of a tokenizer with more tokens than the checkpoint)",
    ),
    Entry(
        "nothing-to-resume",
        "resume-state",
        (
            "nothing to resume",
            "restored a checkpoint with current_epoch",
            "checkpoint contains only the model",
            "epochs is finished",
            "max_steps has already saved",
            "already reached",
            "reached max",
            "already trained",
            "already finished",
            "already completed",
            "already complete",
            "nothing to do",
            "0 remaining",
        ),
        r"nothing to resume|restored a checkpoint with current_epoch=(?P<epoch>\d+), but you have set"
        r" Trainer\(max_epochs=(?P<most>\d+)|Trying to restore [\w ]{1,40} state but checkpoint contains only the model"
        r"|training to (?P<epochs>\d+) epochs is finished"
        r"|max_steps has already saved|(?:max_(?:steps|epochs)|global.step|training|number of (?:steps|epochs)|epochs?"
        r"|steps?)\b.{0,40}?"
        r"already (?:reached|finished|completed?|trained)|already (?:trained|reached|finished|completed?) (?:for |all |to "
        r"|the )*"
        r"(?:max\w*|\d+) ?(?:steps|epochs)?|(?:steps|epochs) 0 remaining",
        why="the checkpoint has no training to go on with: it is a finished (or stripped) run, or holds weights only",
        remedy=(
            "Start a new run from its weights, raise the number of epochs, or take a checkpoint that holds the whole "
            "training state (save_weights_only=False)."
        ),
        weight=0.9,
        also=("optimizer-structure", "format-mismatch"),
        example="AssertionError: runs/last.pt training to 300 epochs is finished, nothing to resume.",
    ),
    Entry(
        "dirpath-changed",
        "resume-state",
        ("the dirpath has changed",),
        r"The dirpath has changed from '?(?P<then>\S+?)'? to '?(?P<now>\S+?)'?,",
        why=(
            "the checkpoint folder is another than before, so that best score and the list of the best are not "
            "restored"
        ),
        remedy="Keep the same dirpath, or pass the old one.",
        also=("retention",),
        weight=0.85,
        example=(
            "UserWarning: The dirpath has changed from 'a' to 'b', therefore `best_model_score`, "
            "`kth_best_model_path` won't be reloaded."
        ),
    ),
    Entry(
        "grad-scaler",
        "resume-state",
        (
            "no inf checks were recorded",
            "the source state dict is empty",
            "attempted unscale_",
            "_scale is none",
        ),
        (
            r"No inf checks were recorded for this optimizer|Attempted unscale_ but _scale is None"
            r"|The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler"
        ),
        why=(
            "the loss scaler's state is not that of this run (saved while it was disabled, or loaded for another "
            "optimizer)"
        ),
        remedy="Save and load the scaler's state only where it is enabled, with the same optimizer.",
        weight=0.8,
        weigh=loading_where("no inf checks", "attempted unscale_"),
        also=("optimizer-structure",),
        where=loading_or_alone,
        example=(
            "RuntimeError: The source state dict is empty, possibly because it was saved from a disabled instance of "
            "GradScaler."
        ),
    ),
    Entry(
        "state-not-back",
        "resume-state",
        ("restored", "loaded", "saved", "kept", "reset", "lost", "empty", "from scratch", "initiali"),
        r"(?:optimi[sz]er|scheduler|scaler|sampler|dataloader|random|rng|moment\w*|learning rate|training|epoch|step"
        r"|ema)(?:'s)?"
        r"(?: (?:weights?|states?|variables|counter|number|count|slots))?\b[^.;:\n]{0,60}"
        r"(?:(?:not|n't|never) (?:being )?(?:restored|loaded|saved|kept)|\breset|\blost\b|\bempty\b"
        r"|from scratch|re-?initiali[sz]ed)",
        why="a part of the training state was not saved, or did not come back, and nothing says so",
        remedy=(
            "Save and restore it too (`holdfast.Vault` does, and says what it could not); `holdfast drill "
            "SCRIPT` shows what a restore loses."
        ),
        where=storing,
        weigh=told_in_words,
        also=("optimizer-structure", "optimizer-hyperparameters"),
        weight=0.62,
        example="After load_model the optimizer's state is reset",
    ),
)
