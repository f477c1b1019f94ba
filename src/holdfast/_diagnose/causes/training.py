"""What shows in numbers and behaviour: metrics, resuming, preprocessing, background saves, retention."""

from __future__ import annotations

import re

from ..knowledge import Entry, Guess, Look

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


ENTRIES = (
    Entry(
        "hf-no-weights-file",
        "incomplete-save",
        ("no file named", "does not appear to have a file named", "error no file named"),
        r"(?:Error )?no file named (?P<names>[\w.,\- ]+?)(?: found)? in directory (?P<path>[^\s]+)"
        r"|does not appear to have a file named (?P<names2>[\w.,\- ]+)",
        why=(
            "none of the files that could hold the weights lies in {path}: the save was broken off, the index or a "
            "shard is missing, or only an adapter or another engine's files are there"
        ),
        remedy=(
            "`holdfast FOLDER` says what is there and what is missing; convert a DeepSpeed folder "
            "(`zero_to_fp32.py`), or get the missing files."
        ),
        also=("not-found", "format-mismatch"),
        weight=0.85,
        test="whole",
        example=(
            "OSError: Error no file named pytorch_model.bin, model.safetensors, tf_model.h5, model.ckpt.index or "
            "flax_model.msgpack found in directory runs/x."
        ),
    ),
    Entry(
        "hf-newly-initialised",
        "missing-tensor",
        (
            "newly initialized",
            "were not initialized from the model checkpoint",
            "were not used when initializing",
            "some weights of",
            "some layers of",
        ),
        r"Some (?:weights|layers) of (?:the model checkpoint at )?(?P<model>[\w./\-]+) were not (?:initialized from"
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
        "adapter-files",
        "not-found",
        ("adapter_config.json", "adapter_model"),
        r"(?:Can't find|No such file).{0,40}adapter_(?:config\.json|model)"
        r"|adapter_config\.json.{0,60}(?:not found|missing)",
        why="no adapter lies there: the folder is a whole model's, or an outer one",
        remedy="Give the folder that holds adapter_config.json, or load it as a whole model.",
        also=("format-mismatch", "incomplete-save"),
        weight=0.85,
        test="path",
        example="ValueError: Can't find 'adapter_config.json' at './checkpoint-500'",
    ),
    Entry(
        "metric-monitor",
        "retention",
        ("can save best model only with", "modelcheckpoint(monitor=", "ould not find the monitored key"),
        r"Can save best model only with (?P<metric>\w+) available, skipping|[Cc]ould not find the monitored key"
        r"|ModelCheckpoint\(monitor='?(?P<metric2>[\w/]+)'?\)[^\n]{0,80}(?:could not|not found)",
        why=(
            "the metric by which the best is kept ({metric}) is not logged under that name at that moment, so that "
            "nothing is saved"
        ),
        remedy="Use the logged name (`val_accuracy`, not `val_acc`), and validation data in `fit`; save_freq='epoch'.",
        also=("metrics", "not-found"),
        weight=0.88,
        example="WARNING:tensorflow:Can save best model only with val_acc available, skipping.",
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
        weigh=lambda look: [] if look.reading.frames or look.reading.log else [look.entry.guess(look)],
        example="After loading the checkpoint the accuracy is much lower than before saving",
    ),
    Entry(
        "resume-broken",
        "resume-state",
        ("resum", "rng file", "ignoring the", "rng state must be a torch.bytetensor", "continu"),
        r"(?:resum|continu)\w*[^.;:]{0,160}(?:loss (?:jump|spike|increase)|start(?:s|ed|ing)? (?:from|at|over)"
        r"|epoch 0|same (?:data|batches|order)|restarts?|from scratch|not restored)|Ignoring the (?:random"
        r"|rng) state|RNG state must be a torch\.ByteTensor|[Cc]an't (?:find|load) RNG file"
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
        ("rng state must be", "rng_state"),
        r"RNG state must be a torch\.ByteTensor",
        why="the random state was mapped to another device or type when it was loaded",
        remedy="Load it with map_location='cpu', and pass `state.cpu()`.",
        also=("device-mismatch",),
        weight=0.9,
        example="TypeError: RNG state must be a torch.ByteTensor",
    ),
    Entry(
        "async-failed",
        "async-save",
        ("background", "dictionary changed size during iteration", "thread", "sync"),
        r"(?:[Aa]sync\w*|background)[\w ]{0,30}(?:save|checkpoint|write|thread)\w*.{0,160}(?:fail|error"
        r"|exception|raise|died|hang|inconsist|torn)\w*|dictionary changed size during iteration",
        why="a save in the background failed, or what it was writing changed meanwhile",
        remedy=(
            "Wait for it (`future.result()`, `wait_until_finished()`, `handle.wait()`) before the state changes and "
            "before the program ends, and look at what it raised."
        ),
        context=("save", "checkpoint", "state_dict"),
        only_in=True,
        also=("concurrency", "incomplete-save"),
        weight=0.72,
        example="RuntimeError: Async checkpoint save failed in background thread: [Errno 28]",
    ),
    Entry(
        "interpreter-shutdown",
        "async-save",
        (
            "cannot schedule new futures",
            "can't start new thread at interpreter shutdown",
            "interpreter shutdown",
        ),
        r"cannot schedule new futures after (?:interpreter )?shutdown|at interpreter shutdown",
        why="the program ended while a save was still being written in the background",
        remedy="Wait for the save before the script ends.",
        also=("incomplete-save",),
        weight=0.86,
        context=("save", "checkpoint", "orbax", "write"),
        only_in=True,
        example="RuntimeError: cannot schedule new futures after interpreter shutdown (orbax checkpoint save)",
    ),
    Entry(
        "deleted-checkpoint",
        "retention",
        ("max_to_keep", "save_total_limit", "keep", "emov", "eleting older"),
        r"(?:max_to_keep|save_total_limit|keep_checkpoint\w*|[Dd]eleting older checkpoint"
        r"|[Rr]emov\w+ (?:old )?checkpoint).{0,200}(?:No such file|not found|missing|fail|error|gone|NotFound)"
        r"|(?:No such file|not found|NotFound).{0,200}(?:max_to_keep|save_total_limit"
        r"|[Dd]eleting older checkpoint)",
        why="retention removed the checkpoint that is wanted",
        remedy="Keep more of them, or pin the one that is needed (`vault.pin`).",
        also=("not-found", "concurrency"),
        weight=0.72,
        test="path",
        example=(
            "Deleting older checkpoint [runs/checkpoint-500] due to args.save_total_limit\nOSError: checkpoint-500 "
            "not found"
        ),
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
        "save-interrupted",
        "incomplete-save",
        (
            "interrupted",
            "sigterm",
            "keyboardinterrupt",
            "checkpoint",
            "reempt",
            "illed",
            "write_record",
            "saving",
            "_save",
            "save",
        ),
        r"(?:[Kk]ill(?:ed)?|SIGTERM|[Pp]reempt\w*|KeyboardInterrupt|interrupted).{0,200}(?:sav(?:e|ing)"
        r"|write_record|writing checkpoint|_save\b)",
        why="the save was broken off; the file is not whole",
        remedy="Take the checkpoint before it; write beside and rename (`holdfast.Vault`, or `holdfast run --protect`).",
        calls=("save", "_save", "write_record"),
        weight=0.7,
        also=("corrupt",),
        test="whole",
        example=(
            '  File "torch/serialization.py", line 1, in _save\n    zip_file.write_record(name, storage, '
            "num_bytes)\nKeyboardInterrupt interrupted saving"
        ),
    ),
    Entry(
        "nothing-to-resume",
        "resume-state",
        (
            "nothing to resume",
            "restored a checkpoint with current_epoch",
            "checkpoint contains only the model",
            "epochs is finished",
        ),
        r"nothing to resume|restored a checkpoint with current_epoch=(?P<epoch>\d+), but you have set"
        r" Trainer\(max_epochs=(?P<most>\d+)|Trying to restore (?:training|optimizer"
        r"|\w+) state but checkpoint contains only the model|training to (?P<epochs>\d+) epochs is finished",
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
        "no-valid-checkpoint",
        "incomplete-save",
        ("o valid", "checkpoint", "heckpoint", "o steps found in"),
        r"(?P<what>[Cc]an't find a valid checkpoint at|[Nn]o valid checkpoint(?:s)? (?:was "
        r"|were )?found(?: in)?(?: output directory)?|[Nn]o checkpoints? found(?: (?:in|at|for))?"
        r"|[Nn]o steps found in|[Cc]ould not find (?:a )?checkpoint"
        r"|[Cc]heckpoint (?:at )?.{0,80}not found)(?:[: ]+\(?'?(?P<path>[^\s')]+))?",
        why="nothing there is a whole checkpoint of the kind that is looked for ({path})",
        remedy="`holdfast FOLDER` says what is there, whether it is whole, and what is missing.",
        test="path",
        weigh=lambda look: (
            [
                look.entry.guess(look, confidence=0.72),
                look.entry.guess(look, "not-found", confidence=0.68),
                look.entry.guess(look, "format-mismatch", confidence=0.4),
            ]
            if "valid" in look.match[0].lower()
            else [
                look.entry.guess(look, "not-found", confidence=0.76),
                look.entry.guess(look, confidence=0.5),
                look.entry.guess(look, "retention", confidence=0.35),
            ]
        ),
        example="ValueError: Can't find a valid checkpoint at /out/checkpoint-4016",
    ),
    Entry(
        "async-metadata",
        "async-save",
        (
            "metadata is none",
            "async_save",
            "previous async",
            "asynccheckpoint",
            "asyncstag",
            "another async",
            "pending async",
        ),
        (
            r"metadata is None|(?:previous|another|pending) async\w* (?:save|checkpoint)\w*.{0,80}|(?:async_save"
            r"|AsyncCheckpoint\w*|AsyncStag\w*).{0,160}?(?:Error|fail|raise|exception|timeout|hang)"
        ),
        why="a save in the background was not finished, or failed, when the next step of it (or the next save) came",
        remedy=(
            "Keep the future and wait for it (`future.result()`, `wait_until_finished()`) before the next save, "
            "before retention, and at the end."
        ),
        weight=0.72,
        also=("incomplete-save", "concurrency", "retention"),
        example="AssertionError: metadata is None (dcp.async_save)",
    ),
    Entry(
        "orbax-unfinished",
        "incomplete-save",
        ("commit_success", "orbax-checkpoint-tmp", "finali", "ncomplete checkpoint"),
        (
            r"commit_success(?:\.txt)?.{0,80}|not (?:been )?finali[sz]ed|orbax-checkpoint-tmp\S*"
            r"|[Ii]ncomplete checkpoint"
        ),
        why="the checkpoint was never finished: the writer stopped before its last step",
        remedy="Take the newest finished one; delete what is marked temporary once no writer runs.",
        weight=0.78,
        also=("async-save", "concurrency"),
        test="whole",
        example="ValueError: Found incomplete checkpoint at /runs/10.orbax-checkpoint-tmp-1",
    ),
    Entry(
        "flax-parameter-missing",
        "missing-tensor",
        ("could not find parameter named", 'tried to access "', "} which are not present in state dict"),
        (
            r"Could not find parameter named \"(?P<tensor>\w+)\" in scope \"(?P<scope>[\w/.]+)\""
            r"|Tried to access \"(?P<collection>\w+)\" from collection"
            r"|target dict contains keys (?P<keys>\{[^}]*\}) which are not present in state dict"
        ),
        why="the restored tree has no `{tensor}` in `{scope}`",
        remedy="Compare both trees (`holdfast inspect PATH`); a module that was renamed or numbered anew has other keys.",
        weight=0.86,
        also=("renamed", "unexpected-tensor", "optimizer-structure"),
        test="names",
        example='flax.errors.ScopeParamNotFoundError: Could not find parameter named "kernel" in scope "/Dense_1".',
    ),
    Entry(
        "flax-initialiser-shape",
        "shape-mismatch",
        ("initializer expected to generate shape",),
        (
            r"Initializer expected to generate shape (?P<want>\([\d, ]*\)) but got shape (?P<got>\([\d, ]*\))"
            r" instead for parameter \"(?P<tensor>\w+)\" in \"(?P<scope>[\w/.]+)\""
        ),
        why="`{tensor}` in `{scope}` has shape {got} in the checkpoint and {want} in the module",
        remedy="Build the module with the recorded size.",
        weight=0.93,
        also=("version-mismatch", "preprocessing"),
        test="names",
        example=(
            "flax.errors.ScopeParamShapeError: Initializer expected to generate shape (8, 4096) but got shape (32, "
            '4096) instead for parameter "embedding" in "/transformer/dte".'
        ),
    ),
    Entry(
        "shared-memory",
        "memory",
        ("bus error", "insufficient shared memory", "unable to mmap", "unable to open shared memory object"),
        r"Bus error|insufficient shared memory|unable to (?:mmap|open shared memory object)",
        why=(
            "memory that was mapped could not be had: /dev/shm is too small, or the mapped file was cut short under "
            "the reader"
        ),
        remedy="Enlarge /dev/shm; write checkpoints beside and rename, never in place.",
        context=("checkpoint", "load", "save", "mmap"),
        only_in=True,
        weight=0.66,
        also=("concurrency", "corrupt"),
        example="RuntimeError: unable to mmap 4096 bytes from file </runs/model.pt>: Cannot allocate memory (load)",
    ),
    Entry(
        "half-on-cpu",
        "dtype-mismatch",
        (
            "not implemented for 'half'",
            "not implemented for 'bfloat16'",
            "not implemented for 'float8",
            '" not implemented for',
        ),
        r"\"(?P<kernel>\w+)\" not implemented for '(?P<kind>Half|BFloat16|Float8\w*|Char|Byte)'",
        why="the weights were loaded as {kind}, for which this device has no such kernel",
        remedy="Load with `torch_dtype=torch.float32`, or cast: `model.float()`.",
        weight=0.66,
        also=("device-mismatch",),
        context=("load", "checkpoint", "from_pretrained", "model"),
        only_in=True,
        example="RuntimeError: \"LayerNormKernelImpl\" not implemented for 'Half' (model loaded from checkpoint)",
    ),
    Entry(
        "optimizer-state-key",
        "optimizer-structure",
        (
            "keyerror: 'exp_avg'",
            "keyerror: 'momentum_buffer'",
            "keyerror: 'betas'",
            "keyerror: 'initial_lr'",
            "keyerror: 'max_exp_avg_sq'",
            "keyerror: 'foreach'",
            "keyerror:",
        ),
        (
            r"KeyError: '(?P<key>exp_avg|exp_avg_sq|momentum_buffer|betas|initial_lr|max_exp_avg_sq|maximize|foreach"
            r"|capturable|differentiable|fused)'"
        ),
        why=(
            "the restored optimizer state has no `{key}`: it is of another class or version of the optimizer, or was "
            "not restored for all parameters"
        ),
        remedy=(
            "Build the optimizer of the class that was saved; `holdfast inspect CKPT` shows its slots and "
            "hyperparameters."
        ),
        weight=0.82,
        also=("version-mismatch", "resume-state"),
        test="names",
        example="    exp_avg = state['exp_avg']\nKeyError: 'exp_avg'",
    ),
    Entry(
        "grad-scaler",
        "resume-state",
        ("no inf checks were recorded", "gradscaler", "the source state dict is empty"),
        (
            r"No inf checks were recorded for this optimizer"
            r"|The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler"
        ),
        why=(
            "the loss scaler's state is not that of this run (saved while it was disabled, or loaded for another "
            "optimizer)"
        ),
        remedy="Save and load the scaler's state only where it is enabled, with the same optimizer.",
        weight=0.8,
        also=("optimizer-structure",),
        example=(
            "RuntimeError: The source state dict is empty, possibly because it was saved from a disabled instance of "
            "GradScaler."
        ),
    ),
)
