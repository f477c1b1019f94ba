"""What a TensorFlow or Keras program shows where nothing failed: values printed after a restore that are not those "
"expected."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing


def counted_anew(look: Look) -> list[Guess]:
    """Where nothing failed, but a log is shown in which the best is sought from the beginning."""
    if look.reading.raised or look.reading.frames:
        return []
    labels = (("resume-state", 0.52), ("retention", 0.5), ("metrics", 0.42))
    return [look.entry.guess(look, label, confidence=by) for label, by in labels]


def way_without_end(look: Look) -> list[Guess]:
    """A traceback without its last line: what the functions on the way do is all there is."""
    if look.reading.raised:
        return []
    of = " ".join(re.findall(r"\", line \d+, in (\w+)", look.reading.flat))
    if any(word in look.reading.lower for word in ("training_config", "custom_objects", "compile_args")):
        labels = ("custom-object", "version-mismatch", "unserialisable")
    elif "save" in of and "load" not in of:
        labels = ("unserialisable", "version-mismatch", "storage")
    else:
        labels = ("version-mismatch", "custom-object", "missing-tensor")
    return [
        look.entry.guess(look, label, confidence=by)
        for label, by in zip(labels, (0.52, 0.48, 0.42), strict=True)
    ]


def crashed(look: Look) -> list[Guess]:
    """Where no lock could be had, threads are at odds; else no memory is the first thought."""
    of = look.reading.lower
    if "system_error" in of or "mutex" in of:
        labels = ("version-mismatch", "concurrency", "memory")
    else:
        labels = ("memory", "version-mismatch", "concurrency")
    return [
        look.entry.guess(look, label, confidence=by)
        for label, by in zip(labels, (0.5, 0.46, 0.42), strict=True)
    ]


ENTRIES = (
    Entry(
        "keras-rate-after-restore",
        "optimizer-hyperparameters",
        ("optimizer.lr", "optimizer.learning_rate", "optimizer._lr", "optimizer.get_config()"),
        r"(?:load_weights|load_model|restore)\(.{0,600}?optimizer\.(?:_?lr\b|learning_rate|get_config\(\))"
        r"[^ ]{0,30} (?:[a-z=]+ ){0,3}?\[?\d",
        why="the learning rate after the restore is not the one set: the stored one overwrote it, or was overwritten",
        remedy="Set the rate after restoring (`optimizer.learning_rate.assign(...)`), not before; check with `holdfast "
        "check`.",
        where=storing,
        also=("resume-state", "optimizer-structure"),
        weight=0.62,
        example="model.load_weights('w')\nmodel.compile(Adam(0.01))\nprint(model.optimizer.lr.numpy())\n0.001",
    ),
    Entry(
        "keras-steps-after-restore",
        "resume-state",
        ("initial_epoch", "optimizer.iter", "cosinedecay", "exponentialdecay", "learningrateschedule"),
        r"(?:load_weights|load_model|restore)\(.{0,600}?(?:initial_epoch|optimizer\.iter|CosineDecay|ExponentialDecay"
        r"|LearningRateSchedule)"
        r".{0,200}?\d|optimizer\.iter(?:ations)?\b.{0,60}?\b(?:0|1|zero|reset)\b",
        why="the optimizer's step count, from which the schedule reckons, is not that of the epoch resumed from",
        remedy="Restore the optimizer too (`iterations` is part of it), or assign `optimizer.iterations` before `fit`.",
        where=storing,
        also=("optimizer-hyperparameters", "optimizer-structure"),
        weight=0.6,
        example="model.load_weights('w')\nmodel.fit(data, initial_epoch=5, epochs=10)\nlr 0.1, want 0.05",
    ),
    Entry(
        "keras-no-slots-after-load",
        "optimizer-structure",
        ("optimizer.weights", "optimizer.get_weights()", "optimizer.variables"),
        r"(?:load_weights|load_model|restore)\(.{0,600}?optimizer\.(?:get_weights\(\)|weights|variables(?:\(\))?).{0,30}?"
        r"\s(?:\[\]|0\b|None)",
        why="after loading, the optimizer holds no state: it was not saved, or has not been put back (no slots made yet)",
        remedy="Save with `include_optimizer=True`, build the optimizer (`optimizer.build(model.trainable_variables)`) "
        "first.",
        where=storing,
        also=("lazy-build", "resume-state"),
        weight=0.62,
        example="m = load_model('m')\nprint(m.optimizer.get_weights())\n[]",
    ),
    Entry(
        "keras-backup-restarts",
        "resume-state",
        ("backupandrestore",),
        r"BackupAndRestore\(",
        why="the backup of the interrupted run was not taken up as it should: model unbuilt at the start, or other "
        "counters",
        remedy="Build the model before `fit`, keep `backup_dir` and the arguments of `fit` the same; `holdfast drill` "
        "shows it.",
        weigh=ranked(("resume-state", 0.5), ("lazy-build", 0.42), ("not-found", 0.3)),
        example="fit(callbacks=[BackupAndRestore(backup_dir)])\nEpoch 1/10 again after the interruption",
    ),
    Entry(
        "tf-memory-at-save",
        "memory",
        ("ailed to allocate memory", "ran out of memory", "std::bad_alloc"),
        r"ailed to allocate memory(?! to serialize)|ran out of memory|std::bad_alloc",
        why="there is no room in memory for the copy that saving or loading makes",
        remedy="Save weights only, or on the CPU; fewer things alive at the time of the save.",
        where=storing,
        also=("storage", "size-limit"),
        weight=0.8,
        example="model.save_weights('w')\nResourceExhaustedError: failed to allocate memory [Op:SaveV2]",
    ),
    Entry(
        "proto-size-overflow",
        "size-limit",
        ("error computing bytesize", "shouldn't be called if all the sizes are equal", "byte size overflow"),
        "",
        why="the message to be written is larger than a protobuf may be (2 GB)",
        remedy="Split the variable (a partitioner), or write with the V2 format; keep arrays out of the graph.",
        also=("memory", "unserialisable"),
        weight=0.88,
        example="[libprotobuf ERROR message_lite.cc:293] Error computing ByteSize (possible overflow?).",
    ),
    Entry(
        "tf-nothing-there-after-restore",
        "lazy-build",
        (".variables", ".weights", ".trainable_variables", ".trainable_weights", ".get_weights()"),
        r"(?:restore|load_weights)\(.{0,600}?\b(?!optimizer)\w+(?:\.variables|\.weights|\.trainable_variables"
        r"|\.trainable_weights|\.get_weights\(\))\)?"
        r" \[\]",
        why="the restored object has no variables: they are made only when the model is first called, and nothing was "
        "put in",
        remedy="Build or call the model before restoring, then `status.assert_consumed()`.",
        where=storing,
        also=("missing-tensor", "format-mismatch"),
        weight=0.66,
        example="checkpoint.restore(path)\n>>> net.variables\n[]",
    ),
    Entry(
        "crash-while-storing",
        "memory",
        (
            "segmentation fault",
            "sigsegv",
            "core dumped",
            "sigabrt",
            "signal 11",
            "access violation",
            "terminate called after throwing",
            "pthread_mutex_lock",
        ),
        r"(?:segmentation|Segmentation) fault|SIGSEGV|(?:core|Core) dumped|SIGABRT|signal 11|access violation"
        r"|terminate called after throwing|pthread_mutex_lock",
        why="the process died in native code while saving or loading: no memory for it, libraries that do not fit each "
        "other, "
        "or another process or thread at the same file",
        remedy="Watch the memory (`holdfast plan`); one HDF5/protobuf/TensorFlow build in the environment; one writer.",
        where=storing,
        weigh=crashed,
        example="Load the trained model from model.h5 ...\nSegmentation fault (core dumped)",
    ),
    Entry(
        "memory-grows",
        "memory",
        ("emory usage", "emory leak", "em usage"),
        r"(?:(?:(?:m|M)emory usage|(?:m|M)em usage)\D{1,20}\d[\d.,]* ?[KMG]i?B.{0,120}?){2}|(?:m|M)emory leak",
        why="each save or load keeps memory: graphs, tables or copies of earlier ones stay alive",
        remedy="Build once and only restore values; `clear_session()` or a process of its own for each load.",
        where=storing,
        also=("graph-lifecycle", "size-limit"),
        weight=0.6,
        example="for i in range(9): model = load_model(path)\nmemory usage: 512 MB\nmemory usage: 1024 MB",
    ),
    Entry(
        "checkpoint-path-formatted",
        "metrics",
        ("filepath.format(", "format this callback filepath", "filepath = self.filepath"),
        r"filepath\.format\(.{0,300}?KeyError: u?'(?P<name>\w+)'"
        r"|format this callback filepath.{0,200}?Reason:? \W*'?(?P<name2>\w+)?",
        why="the name of the checkpoint uses the metric `{name}`, which is not logged at that moment",
        remedy="Use a logged name (`val_accuracy`, not `val_acc`), give validation data, or leave the metric out of "
        "the name.",
        also=("retention", "not-found"),
        weight=0.84,
        example="    filepath = self.filepath.format(epoch=epoch, **logs)\nKeyError: 'val_loss'",
    ),
    Entry(
        "vocabulary-empty-after-load",
        "unserialisable",
        ("get_vocabulary()", "'vocabulary': listwrapper([]", "'vocabulary': []", "vocabulary_size()"),
        r"get_vocabulary\(\).{0,60}? \[(?:'|\\\"|b')?(?:\[UNK\])?(?:'|\\\")?\]|'vocabulary': (?:ListWrapper\()?\[\]",
        why="the vocabulary of the layer did not come along: it lies in a table, or in a file that is elsewhere",
        remedy="Give the vocabulary to the layer again after loading, or keep it as a file beside the model.",
        where=storing,
        also=("preprocessing", "missing-tensor"),
        weight=0.66,
        example="model = load_model('m')\nprint(model.layers[1].get_vocabulary())\n['[UNK]']",
    ),
    Entry(
        "random-state-after-restore",
        "resume-state",
        ("random",),
        r"same random (?:sample|number|value|order|batch)\w*|state of the random(?: number generator)?"
        r"|random (?:number generator|seed|state)s?\b.{0,80}?(?:not (?:saved|restored)|reset|re-?used)",
        why="the state of the random number generator is not part of what was saved, or begins anew with the seed",
        remedy="Keep a `tf.random.Generator` in the checkpoint; `holdfast drill` shows which state does not come back.",
        where=storing,
        also=("metrics", "optimizer-hyperparameters"),
        weight=0.74,
        example="checkpoint.restore(path)\nafter restoring, the same random numbers as at the start are used",
    ),
    Entry(
        "exporter-without-loss",
        "version-mismatch",
        ("current_eval_result cannot be empty", "best_eval_result cannot be empty"),
        "",
        why="the metric by which the best is exported is not among the results of the evaluation",
        remedy="A `compare_fn` for a metric that is there; or the version in which evaluation and exporter fit each "
        "other.",
        weigh=ranked(("version-mismatch", 0.62), ("metrics", 0.6), ("retention", 0.5)),
        example="ValueError: current_eval_result cannot be empty or no loss is found in it.",
    ),
    Entry(
        "best-forgotten",
        "resume-state",
        ("improved from -inf to", "improved from inf to"),
        r"improved from -?inf to",
        why="the callback counts from the beginning again: the best value so far is not among what was restored",
        remedy="`ModelCheckpoint(initial_value_threshold=...)` with the best value of the earlier run; or keep the "
        "callback.",
        weigh=counted_anew,
        example="Epoch 00001: val_loss improved from inf to 0.58, saving model to weights.h5",
    ),
    Entry(
        "inside-the-loader",
        "version-mismatch",
        ("topology.py", "hdf5_format.py", "training.py", "saving", "saved_model"),
        r"(?:topology\.py|hdf5_format\.py|training\.py|saving\S*\.py|saved_model\S*\.py)\", line \d+, in \w+",
        why="the way that the traceback shows ends inside of what saves and loads models; its last line, which says "
        "why, is cut off",
        remedy="Give the last lines of the traceback too. Meanwhile: compare the versions that saved and that load.",
        where=storing,
        weigh=way_without_end,
        example='  File "keras/saving/save.py", line 14, in load_model\n'
        '  File "keras/saving/load.py", line 25, in load_internal\n    model._config))',
    ),
)
