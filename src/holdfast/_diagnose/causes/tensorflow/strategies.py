"""TensorFlow under a distribution strategy: variables and saves of several replicas, workers and TPUs.

Messages: tensorflow/python/distribute/*.py, keras/callbacks.py (2.x), keras/engine/training.py (2.x).
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone, storing_or_alone

ENTRIES = (
    Entry(
        "strategy-not-supported",
        "topology",
        (
            "backupandrestore callback only supports",
            "not yet supported with tpustrategy",
            "are not supported with `parameterserverstrategy`",
            "with variable partitioning, which is not currently supported",
            "distribution strategy is not supported",
            "is not supported with distribution strategy",
            "under distribution strategy",
            "not supported when using tf.distribute",
            "not supported under a tf.distribute",
            "is not supported in multi-worker mode",
            "not supported with parameterserverstrategy",
            "not supported for tpustrategy",
            "can only be used in cross-replica",
            "in cross-replica context",
            "in a cross-replica context",
            "outside of a cross-replica",
            "cross-replica context in an in-replica",
            "`merge_call` called while defining",
            "merge_call called while defining",
            "is not available outside tpu context",
            "the variablepolicy of the argument",
            "preemptioncheckpointhandler does not support",
            "`savesliceinfo` should not be set",
            "does not supportusage with",
        ),
        "",
        why="this save or restore is not made for variables that are spread over replicas or servers, or stands inside "
        "of a "
        "replica's step",
        remedy="Save and restore under `strategy.scope()` and outside of `strategy.run`; on workers other than the "
        "chief into "
        "a folder of their own.",
        where=storing_or_alone,
        also=("version-mismatch", "graph-lifecycle"),
        weight=0.9,
        example=(
            "NotImplementedError: CentralStorageStrategy is not supported yet. Currently BackupAndRestore callback only "
            "supports empty strategy, MirroredStrategy"
        ),
    ),
    Entry(
        "strategy-workers-write",
        "concurrency",
        (
            "multiworker",
            "multi_worker",
            "worker_",
            "/job:worker",
            "workertemp",
        ),
        r"(?:MultiWorker|multi_worker|worker_\d+|/job:worker).{0,400}(?:variables_temp|_temp_\w+|\.tmp)"
        r".{0,200}(?:No such file|not found|exists|Failed to rename|Directory not empty)"
        r"|(?:Failed to rename|Directory not empty|No such file).{0,300}(?:workertemp_\d+|(?:MultiWorker|multi_worker))",
        why="several workers saved into one folder, and took each other's temporary files away",
        remedy="The chief saves into the folder, every other worker into one of its own that is deleted afterwards.",
        also=("storage", "topology"),
        weight=0.86,
        example=(
            "MultiWorkerMirroredStrategy: NotFoundError: out/variables/variables_temp_1/part-00000-of-00001.index; No "
            "such "
            "file or directory"
        ),
    ),
    Entry(
        "strategy-other-replicas",
        "topology",
        (
            "replica",
            "synconread",
            "mirrored",
            "distributedvariable",
            "shardedvariable",
        ),
        r"(?:PerReplica\w*|SyncOnRead\w*|(?:TPU)?Mirrored\w*|(?:Distributed|Sharded)Variable\w*).{0,120}?"
        r"(?:not (?:supported|found|implemented|callable|a \w+)|cannot be|has no attribute|object is not|can't|failed)"
        r"|(?:different|other) (?:number of )?(?:replicas|num_replicas)",
        why="the variables of a strategy are not plain ones: what is saved or loaded was made under another strategy, "
        "or none",
        remedy="Make and restore the model under the same kind of strategy (`with strategy.scope():`), or load it "
        "without any.",
        where=storing_or_alone,
        also=("version-mismatch", "unserialisable"),
        weight=0.72,
        example="load_weights: AttributeError: 'MirroredVariable' object has no attribute '_in_graph_mode'",
    ),
    Entry(
        "tf-one-for-each-worker",
        "topology",
        ("local_step", "per_worker", "per_replica", "worker_step", "num_workers", "num_replicas"),
        r"(?:Assign requires shapes|shape|incompatible).{0,400}?(?P<tensor>[\w/]*(?:local_steps?|per_worker|per_replica"
        r"|worker_steps?|num_workers|num_replicas)\b)",
        why="`{tensor}` holds one number for each worker, and the checkpoint was saved by another number of them",
        remedy="Restore with as many workers as saved, or leave this variable out of what is restored.",
        where=loading_or_alone,
        also=("shape-mismatch",),
        weight=0.97,
        example="InvalidArgumentError: Assign requires shapes of both tensors to match. lhs shape= [4] rhs shape= [2] "
        '[[Node: save/Assign_9 = Assign[T=DT_INT64, _class=["loc:@local_steps"]',
    ),
    Entry(
        "tf-slices-of-partitions",
        "topology",
        (
            "duplicate tensor keyed by",
            "not found in checkpoint",
            "overlapping slices",
            "does not cover the full",
            "slice",
        ),
        r"Duplicate tensor keyed by (?P<tensor>\S+)|Key (?P<tensor2>\S+/part_\d+)\S* not found in checkpoint"
        r"|Overlapping slices: |slices? .{0,80}(?:does not cover|do not cover)",
        why="`{tensor}` is cut into parts over servers or workers, and the parts of save and restore are others",
        remedy="Restore with the same partitioner and number of servers; or save without parts (one writer for a "
        "tensor).",
        weigh=ranked(("topology", 0.82), ("concurrency", 0.5), ("renamed", 0.45), ("missing-tensor", 0.44)),
        example="Duplicate tensor keyed by table/.ATTRIBUTES/VARIABLE_VALUE encountered, when merging prefix: "
        "/tmp/w_temp/part-1",
    ),
    Entry(
        "strategy-other-devices",
        "topology",
        (
            "incompatible assigned devices",
            "incompatible resource devices",
            "colocation groups with incompatible",
        ),
        r"colocation groups with incompatible (?:assigned|resource) devices: (?P<one>\S+) vs (?P<other>\S+?)[.,\s]"
        r"|incompatible (?:assigned|resource) devices",
        why="what was restored lies on one device ({one}), and what uses it on another ({other}): "
        "saved with other devices or tasks than now",
        remedy="Make and restore model and optimizer inside of the same `strategy.scope()`; "
        "`Saver(sharded=True)` with parameter servers.",
        weigh=ranked(("topology", 0.72), ("device-mismatch", 0.66), ("graph-lifecycle", 0.4)),
        example="Cannot place the graph because a reference or resource edge connects colocation groups with "
        "incompatible "
        "assigned devices: /device:GPU:0 vs /device:GPU:1. The edge src node is save",
    ),
    Entry(
        "strategy-callback-state",
        "topology",
        ("_ckpt_saved_epoch", "_in_multi_worker_mode", "_training_state", "should_save_checkpoint"),
        r"(?:AttributeError|has no attribute).{0,60}(?:_ckpt_saved_epoch|_in_multi_worker_mode|_training_state"
        r"|should_save_checkpoint)",
        why="the callback's way of keeping the epoch does not go with this distribution strategy, or this version of it",
        remedy="Build and compile inside of `strategy.scope()`; the TensorFlow in which the strategy is supported.",
        also=("version-mismatch", "resume-state"),
        weight=0.76,
        example="AttributeError: _ckpt_saved_epoch\nstrategy = MultiWorkerMirroredStrategy()",
    ),
)
