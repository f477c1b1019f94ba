"""What shows in numbers and behaviour: metrics, resuming, preprocessing, background saves, retention."""

from __future__ import annotations

from ..knowledge import Entry

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
        ),
        r"Some weights of (?:the model checkpoint at )?(?P<model>[\w./\-]+) were not (?:initialized from"
        r"|used when initializing)|newly initialized: (?P<names>.{0,200})",
        why="the checkpoint lacks tensors that the model has; they stay at random values ({names})",
        remedy=(
            "Expected for a new head; else load the class that was saved, and check prefixes (`base_model.`, "
            "`model.`)."
        ),
        also=("renamed", "unexpected-tensor", "version-mismatch"),
        weight=0.82,
        test="names",
        example=(
            "Some weights of BertForX were not initialized from the model checkpoint at ./ckpt and are newly "
            "initialized: ['classifier.weight']"
        ),
    ),
    Entry(
        "adapter-files",
        "not-found",
        ("adapter_config.json", "can't find 'adapter"),
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
        (
            "can save best model only with",
            "modelcheckpoint(monitor=",
            "could not find the monitored key",
            "metric is not available",
        ),
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
        ("accuracy", "loss", "metric", "predictions", "mae", "different result", "evaluate"),
        r"(?:(?:accuracy|loss|metric|score|mAP|predictions?|outputs?|results?)\b.{0,120}(?:differ|different"
        r"|lower|worse|drops?|random|inconsistent|not (?:the )?same|chang)\w*.{0,160}(?:load|restor|reload|sav"
        r"|checkpoint)|(?:load|restor|reload|sav|checkpoint)\w*.{0,160}(?:accuracy|loss|metric|score|mAP"
        r"|predictions?|outputs?|results?)\b.{0,100}(?:differ|different|lower|worse|drops?|random|inconsistent"
        r"|not (?:the )?same))",
        why="a restored model measures something else than was logged",
        remedy=(
            "`holdfast audit CKPT module:evaluate`: it restores, measures again, and tests the causes (eval mode, "
            "BatchNorm statistics, EMA weights, preprocessing, a running average)."
        ),
        also=("resume-state", "missing-tensor", "preprocessing"),
        weight=0.55,
        example="After loading the checkpoint the accuracy is much lower than before saving",
    ),
    Entry(
        "resume-broken",
        "resume-state",
        ("resum", "continue training", "last_epoch", "global_step", "skipping"),
        r"(?:resum|continu)\w*.{0,160}(?:loss (?:jump|spike|increase)|start(?:s|ed|ing)? (?:from|at|over)"
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
        ("async", "background", "dictionary changed size during iteration", "thread"),
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
        ("deleted", "removed", "max_to_keep", "save_total_limit", "keep"),
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
        ("tokenizer", "vocab", "index out of range in self", "label_map", "num_classes"),
        r"index out of range in self|(?:tokenizer|vocab\w*|label[_ ]?map|feature names).{0,120}(?:mismatch"
        r"|differ|does not match|not match|should match|unseen|larger than)",
        why=(
            "the input pipeline is not the one that the model was trained with: a token, label or feature lies "
            "outside of what the model knows"
        ),
        remedy="Load tokenizer, label map and scalers that were saved with the checkpoint.",
        context=("tokenizer", "vocab", "embedding", "label", "feature"),
        only_in=True,
        also=("shape-mismatch",),
        weight=0.6,
        example="IndexError: index out of range in self (embedding of a tokenizer with more tokens than the checkpoint)",
    ),
    Entry(
        "save-interrupted",
        "incomplete-save",
        ("interrupted", "killed", "preempt", "sigterm", "keyboardinterrupt"),
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
)
