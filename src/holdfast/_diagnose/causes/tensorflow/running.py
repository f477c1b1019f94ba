"""TensorFlow: what trainers and sessions say around checkpoints: waiting, skipping, not ready.

Messages: tensorflow/python/training/{evaluation,checkpoint_utils,session_manager,monitored_session}.py,
tensorflow_estimator/python/estimator/estimator.py.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone


def late_worker(look: Look) -> list[Guess]:
    """Workers wait for the chief; a single process waits for nobody."""
    why = (
        "this process waits until the chief has restored or initialised the variables: the chief is not running, failed, or the "
        "processes differ in which of them is the chief"
    )
    return [
        look.entry.guess(look, confidence=0.86, why=why),
        look.entry.guess(look, "topology", confidence=0.8, why=why),
        look.entry.guess(look, "missing-tensor", confidence=0.5),
    ]


ENTRIES = (
    Entry(
        "tf-stateful-pipeline",
        "unserialisable",
        ("saving stateful functions is not supported", "serializeiterator"),
        r"Saving stateful functions is not supported|SerializeIterator",
        why="the position in the data is saved with the checkpoint, and the pipeline has a step whose state cannot be "
        "saved (random "
        "numbers, a Python function, a table)",
        remedy="Leave the iterator out of what is saved, or make that step stateless (tf.random.stateless_*, seeds "
        "from a counter).",
        weigh=ranked(("unserialisable", 0.92), ("resume-state", 0.66), ("version-mismatch", 0.4)),
        example="InvalidArgumentError: Op[name: a, type: RandomUniform] in function f is stateful. Saving stateful "
        "functions is not supported yet.",
    ),
    Entry(
        "tf-waiting-for-checkpoint",
        "not-found",
        (
            "waiting for new checkpoint",
            "waiting for a checkpoint",
            "checkpoint is not found",
            "no checkpoint found, waiting",
            "found no new checkpoint",
        ),
        r"Waiting for new checkpoint at (?P<path>\S+)|Timed[- ]out waiting for (?:a|new) checkpoint"
        r"|checkpoint is not found|found no new checkpoint|no checkpoint found, waiting",
        why=(
            "the evaluation looks for a checkpoint that is newer than the one it has seen, by the state file `checkpoint` of the "
            "folder ({path}), and there is none: another folder, or no state file in it"
        ),
        remedy=(
            "Give the folder (not the prefix); where the state file is missing write one: `model_checkpoint_path: "
            '"model.ckpt-1000"`. To evaluate once: max_number_of_evaluations=1.'
        ),
        weigh=ranked(("not-found", 0.74), ("retention", 0.46), ("incomplete-save", 0.42)),
        test="path",
        example="INFO:tensorflow:Waiting for new checkpoint at runs/train",
    ),
    Entry(
        "tf-nothing-left-to-train",
        "resume-state",
        ("skipping training since max_steps", "training has already been finished", "global step is already"),
        r"Skipping training since max_steps has already saved",
        why=(
            "the checkpoint in the model's folder has reached `max_steps` already: its step counter was restored, so "
            "that nothing is "
            "left to train"
        ),
        remedy=(
            "Raise `max_steps`, or count with `steps`; for a new run take a new, empty folder, or leave global_step "
            "out of what is "
            "restored."
        ),
        weigh=ranked(("resume-state", 0.8), ("retention", 0.6), ("not-found", 0.3)),
        example="INFO:tensorflow:Skipping training since max_steps has already saved.",
    ),
    Entry(
        "tf-waiting-for-chief",
        "concurrency",
        (
            "waiting for model to be ready",
            "ready_for_local_init_op",
            "session was not ready after waiting",
        ),
        r"Waiting for model to be ready\.\s+Ready_for_local_init_op|Ready_for_local_init_op: .{0,300}?ready: None"
        r"|Session was not ready after waiting",
        why="variables are neither restored nor initialised",
        remedy=(
            "See the chief's log first; one process only has is_chief=True, all see the same checkpoint folder, and "
            "every variable "
            "is placed on the parameter servers (replica_device_setter)."
        ),
        weigh=late_worker,
        example="INFO:tensorflow:Waiting for model to be ready.  Ready_for_local_init_op:  Variables not initialized: "
        "w, ready: None",
    ),
    Entry(
        "tf-table-not-initialised",
        "graph-lifecycle",
        (
            "table not initialized",
            "table already initialized",
            "table is not initialized",
            "table was already initialized",
        ),
        r"Table (?:is )?not initialized|Table (?:was )?already initialized",
        why="tables are no variables: a Saver does not hold them, and after a restore nothing has filled them",
        remedy="Run `tf.compat.v1.tables_initializer()` after the restore (in a SavedModel: give it as the main operation).",
        where=storing_or_alone,
        weigh=ranked(("graph-lifecycle", 0.7), ("missing-tensor", 0.56), ("lazy-build", 0.5)),
        example="FailedPreconditionError: Table not initialized. [[node lookup/hash_table_Lookup]]",
    ),
    Entry(
        "tf-state-file-missing",
        "not-found",
        (
            "has no attribute 'model_checkpoint_path'",
            "has no attribute 'all_model_checkpoint_paths'",
            "expected bytes, nonetype found",
            "expected binary or unicode string, got none",
            "'nonetype' and 'str'",
            "nonetype has no len",
            "has no attribute 'endswith'",
        ),
        r"'NoneType' object has no attribute '(?:model_checkpoint_path|all_model_checkpoint_paths)'"
        r"|(?:NewCheckpointReader|latest_checkpoint|import_meta_graph|checkpoint_path|restore|load_checkpoint).{0,400}?"
        r"(?:expected bytes, NoneType found|Expected binary or unicode string, got None|: 'NoneType' and 'str'"
        r"|'NoneType' object has no attribute 'endswith')"
        r"|(?:expected bytes, NoneType found|Expected binary or unicode string, got None|: 'NoneType' and 'str').{0,200}?"
        r"(?:NewCheckpointReader|latest_checkpoint|import_meta_graph|checkpoint_path)",
        why="the folder has no state file `checkpoint` (or it names nothing that is there), so that no newest "
        "checkpoint was found",
        remedy=(
            "Check the folder; give the prefix of a checkpoint that is there (`runs/model.ckpt-1000`), or copy the "
            "`checkpoint` file "
            "along."
        ),
        where=loading_or_alone,
        also=("incomplete-save", "retention"),
        weight=0.94,
        test="path",
        example="AttributeError: 'NoneType' object has no attribute 'model_checkpoint_path'",
    ),
    Entry(
        "tf-model-not-trained",
        "not-found",
        (
            "could not find trained model in model_dir",
            "running initialization to predict",
            "running initialization to evaluate",
            "estimator is not trained yet",
        ),
        r"Could not find trained model in model_dir: (?P<path>\S+?),|running initialization to (?:predict|evaluate)"
        r"|Estimator is not trained yet",
        why="there is no checkpoint in the model's folder ({path}): what follows runs on values just initialised",
        remedy="Give the Estimator the folder of the training (model_dir), or `checkpoint_path=` to predict and evaluate.",
        weigh=ranked(("not-found", 0.9), ("missing-tensor", 0.5), ("retention", 0.46)),
        test="path",
        example="INFO:tensorflow:Could not find trained model in model_dir: /tmp/tmp1, running initialization to predict.",
    ),
)
