"""What people tell in their own words of a part that did not come back, of a place that does not take the file, and of files that
are fewer than expected."""

from __future__ import annotations

from .telling import told

_NOT = r"(?:not|never|n't|no longer)(?: (?:being|been|be|get|getting|correctly|properly|actually))*"
_CLOUD = (
    r"(?:\bGCS\b|google cloud storage|\bgs://|\bS3\b|\bs3://|\bhdfs\b|\bdbfs\b|azure blob|blob storage|(?:cloud"
    r"|storage|gcp|google"
    r" cloud) bucket|\bGCP\b)"
)
_UNWRITTEN = (
    r"(?:n't .{0,20}?\b(?:save|write|stor|upload)\w*|\bnothing (?:is|was|gets|got) (?:saved|written|there)"
    r"|\b(?:can)?not\b.{0,20}?\b(?:save|write|stor|upload|append)\w*"
    r"|\binability|unable to (?:save|write|store)|fails? to (?:save|write|store)|\b(?:without|no) (?:any )?(?:model"
    r"|checkpoint)s? "
    r"(?:being )?(?:saved|written))"
)

_PROVED = "`holdfast check CKPT module:factory` proves it and names the edit."

ENTRIES = (
    told(
        "told-compiled",
        (("renamed", 0.74), ("missing-tensor", 0.5)),
        "compil|_orig_mod",
        r"\b_orig_mod\b|(?:torch\.compile|compile: ?True)\b.{0,200}?\b(?:keys?\b|key-mismatch|state_dict|prefix|missing)"
        r"|\b(?:keys?|state_dict|prefix|load\w*|resum\w*|restart\w*)\b.{0,120}?\b(?:with|after|by|using|and|un-?|non-?)"
        r" ?(?:\w+ ){0,5}?(?:torch\.compile|compiled)\b",
        "a compiled model's state has `_orig_mod.` before every name, a plain one's has not",
        "Save `model._orig_mod.state_dict()` (or take the prefix off); " + _PROVED,
        "Loading a checkpoint fails after training with torch.compile",
    ),
    told(
        "told-wrapped",
        (("renamed", 0.78), ("topology", 0.6)),
        "dataparallel",
        r"(?:Distributed)?DataParallel\b.{0,300}?\b(?:state_dict|keys?)\b|\b(?:state_dict|keys?)\b.{0,300}?(?:Distributed)?DataParallel\b",
        "a model in DataParallel or DistributedDataParallel has `module.` before every name, a plain one has not",
        "Save `model.module.state_dict()` (or take the prefix off); " + _PROVED,
        "The keys do not match when a model trained with DataParallel is loaded on one GPU",
    ),
    told(
        "told-layers-not-taken",
        (("missing-tensor", 0.72), ("renamed", 0.5), ("metrics", 0.48)),
        "weight|parameter|layer|variable|statistics|value",
        r"(?!.*\boptimi[sz]er)(?:\b(?:weights?|parameters?|variables?|values?|statistics)\b.{0,40}?\b(?:of|for|in"
        r"|correspond\w*|from)\b"
        r".{0,50}?\b(?:layers?|BN|batch ?norm\w*|embeddings?|head|encoder|decoder|backbone|convs?|dense)\b"
        r"|\b(?:BN|batch ?norm\w*|embedding|head|encoder|decoder|backbone) (?:weights?|parameters?|statistics|layers?)) "
        rf"(?:are|is|were|was|do|does|did|have|has) ?{_NOT} (?:loaded|restored|saved|load|restore|stored|kept)\b",
        "a part of the layers is not in the checkpoint, or is not taken from it",
        "`holdfast check CKPT module:factory` names them; save those layers too, or load them by their names.",
        "The weights of the batch norm layers are not loaded, and predictions are random",
    ),
    told(
        "told-resumed-differs",
        (("resume-state", 0.72), ("optimizer-structure", 0.56), ("metrics", 0.5)),
        "resum|interrupt|continu|without|in one go",
        r"(?:resum|continu)\w* (?:the )?training\b.{0,80}?\b(?:differ\w*|not the same|other) (?:\w+ "
        r"){0,2}?(?:results?|loss\w*|curves?"
        r"|from|than|values|as)\b|(?:uninterrupted|without (?:an? )?(?:interruption|save\b|saving|restart)|in one go)\b.{0,80}?\b"
        r"(?:differ\w*|not the same)|(?:differ\w*|not the same)\b.{0,80}?\b(?:uninterrupted|without (?:an? "
        r")?(?:interruption|save\b"
        r"|saving|restart)|in one go)",
        "a run that was interrupted does not go the way of one that was not: part of the state (optimizer, step, random numbers, "
        "order of the data) is not in the checkpoint",
        "`holdfast drill SCRIPT` restores in the middle and shows which part of the state did not come back.",
        "Resuming training gives different results from a run without interruption",
        beside="resum|checkpoint|ckpt|restor|sav",
    ),
    told(
        "told-moments-left-out",
        (("optimizer-structure", 0.76), ("resume-state", 0.72), ("lazy-build", 0.4)),
        "moment|slot",
        r"(?:\bnot|n't|never) (?:\w+ )?(?:stor|sav|kee?p|includ|contain|restor|load)\w*\b.{0,40}?\b(?:moments?(?: "
        r"vectors?)?|momentum"
        r"|momenta|slot (?:variables?|s)?|slots)\b|\b(?:moments?(?: vectors?)?|momenta|slot variables|slots)\b.{0,40}?"
        r"\b(?:initiali[sz]ed (?:as|to|with)|start(?:s|ed)? (?:at|from|with)|set to) zeros?\b",
        "the optimizer's moments are not in the checkpoint, or are not taken from it, and start at zero",
        "Save and restore the optimizer with the model (`tf.train.Checkpoint(model=..., optimizer=...)`, every "
        "variable in the Saver), "
        "and compare the number of slots.",
        "The checkpoint does not store the moment vectors of Adam",
    ),
    told(
        "told-cloud-place",
        (("storage", 0.78), ("format-mismatch", 0.46), ("version-mismatch", 0.45)),
        "gcs|google cloud|gs://|s3|hdfs|dbfs|blob|bucket|gcp",
        rf"{_CLOUD}.{{0,200}}?{_UNWRITTEN}|{_UNWRITTEN}.{{0,100}}?{_CLOUD}"
        rf"|{_CLOUD}.{{0,300}}?\blocal\w*\b.{{0,60}}?(?:works?|fine|without (?:any|a) (?:problem|issue)|no "
        rf"(?:problem|issue|error)s?)",
        "the place is no local disk, and what writes the file does not write there (h5py and zip want a file that "
        "can be sought in)",
        "Write to a local folder, and copy the whole file to the bucket; or use a format that writes through the "
        "framework's own file "
        "system.",
        "ModelCheckpoint writes nothing to our GCS bucket, with a local folder it works",
        beside="model|checkpoint|ckpt|weights|.h5|.keras",
    ),
    told(
        "told-few-kept",
        (("retention", 0.76), ("not-found", 0.44), ("storage", 0.38)),
        "only|limit|fewer",
        r"\bonly (?:find|see|have|had|got|get|keeps?|kept|has|left|there (?:are|were)) (?:the )?(?:last |latest "
        r"|newest |most recent )?"
        r"(?:\d+|one|two|three|five|ten|a few) (?:of (?:the|my) )?(?:\w+ )?(?:checkpoints?|ckpts?|models?|weights?)(?: files?)?\b"
        r"|\b(?:limit\w*|only)\b.{0,30}?\b(?:save|keep)s? (?:only )?(?:the last )?(?:\d+|five|three) (?:\w+ "
        r")?(?:checkpoints?|models?"
        r"|files)\b|\bonly the (?:last|latest|newest) (?:\d+|five|three|few) (?:\w+ )?(?:checkpoints?|models?|ckpts?|files)\b",
        "older checkpoints are deleted as new ones come: a limit on their number, of five with TensorFlow's `Saver`",
        "Raise the limit (`max_to_keep=None`, `save_total_limit`, `save_top_k=-1`), and pin those that are needed (`vault.pin`).",
        "After 200 epochs I only find 5 checkpoint files",
    ),
    told(
        "told-load-skipped",
        (("not-found", 0.72), ("resume-state", 0.5), ("metrics", 0.36)),
        "skip|no error|without|not give",
        r"\bskip\w* (?:over )?(?:the )?(?:load\w*|restor\w*)\b.{0,60}?(?:\bnot|n't|\bno|\bmissing|\babsent)\b"
        r"|(?:\bno|without an?|not give (?:you )?an?) error\b.{0,60}?(?:\bnot|n't)\b.{0,20}?\b(?:find|found"
        r"|exist\w*|load\w*|there)\b",
        "there is no checkpoint where it is looked for, and the program goes on without one",
        "Fail where a named checkpoint is missing; `holdfast FOLDER` says what lies there.",
        "The code skips the loading when it does not find the checkpoint",
        beside="model|checkpoint|ckpt|weights|.h5|.keras",
    ),
    told(
        "told-no-shared-place",
        (("storage", 0.72), ("topology", 0.64), ("not-found", 0.52)),
        "access|shared",
        r"\b(?:workers?|nodes?|hosts?|ranks?|parameter servers?|ps|chief|machines?|tasks?)\b.{0,40}?(?:\bnot|n't"
        r"|\bno|\bwithout)\b.{0,12}?"
        r"\baccess\b.{0,60}?\b(?:checkpoints?|locations?|folders?|director\w+|paths?|disks?|files?)\b"
        r"|\b(?:no|not a|without(?: an?)?|n't) shared (?:storage|disk|file ?system|folder|director\w+)",
        "the machines of the run do not see one folder: each writes or looks for its part on its own disk",
        "Give all of them one shared folder, or gather the parts before they are read.",
        "Saving fails when the workers have no access to the checkpoint folder of the chief",
        beside="model|checkpoint|ckpt|weights|.h5|.keras",
    ),
    told(
        "told-parts-of-one",
        (("incomplete-save", 0.74), ("storage", 0.58), ("topology", 0.5), ("not-found", 0.46)),
        "meta|index|.data",
        r"\bonly (?:has|have|had|contains?|saves?|saved|creates?|created|writes?|there is|got|get|the|an?|one)? "
        r"?(?:the |an? |one )?"
        r"\W?(?:meta|index)\b|\bno \W?(?:index|\.data|meta)(?:-00000\S*)?\b.{0,12}?\b(?:files?|or|and|nor)\b"
        r"|\b(?:expect\w*|missing|lacks?|without)\b.{0,60}?\.(?:data-00000\S*|index)\b",
        "only some of the files that make one checkpoint were written: the save was cut short, or the machine that "
        "holds the variables "
        "wrote its part on its own disk",
        "Look for the others on the machine (or the parameter server) that wrote them, and take the checkpoint before it.",
        "The checkpoint that was saved is only a .meta file, no .index file",
    ),
    told(
        "told-no-such-kind",
        (("format-mismatch", 0.7), ("version-mismatch", 0.64), ("not-found", 0.62)),
        "ckpt",
        r"\b(?:no|\w+(?:\.\w+)*)\.ckpt\b(?: files?)?(?:'s)? (?:is|was|are|were|does|do|did|has|have)? ?(?:not|n't"
        r"|never|no longer)"
        r" (?:being |been |get )?(?:generated?|created?|written|produced?|made|saved?|there|exist)\b"
        r"|\bno (?:\w+\.)+ckpt (?:files?|is|was)\b|\bthere is no (?:\w+\.)*ckpt\b",
        "since TensorFlow 0.12 a checkpoint is three files (`.index`, `.data-...`, `.meta`) with one prefix; no "
        "file has the bare name",
        "Give the prefix to `restore` all the same; test for `prefix + '.index'`, not for the bare name.",
        "With the new version model.ckpt is not generated",
    ),
    told(
        "told-first-epoch-is-best",
        (("retention", 0.8), ("resume-state", 0.76), ("metrics", 0.42)),
        "first epoch|first save|first one|1st ",
        r"\b(?:sav|overwr|replac|stor)\w*\b.{0,60}?\b(?:first|1st) (?:epoch|save|one)\b.{0,120}?\b(?:improv\w*|best|better|worse"
        r"|regardless|whatever|account\w*|consider\w*)\b",
        "the best value of the run before is forgotten: the first save of the new run counts as the best and replaces the file",
        "Give the callback its best value (`initial_value_threshold`, `callback.best = ...`) or save it with the state.",
        "After a restart it saves the model on the first epoch, whether the loss improved or not",
    ),
    told(
        "told-only-the-chief",
        (("topology", 0.74), ("storage", 0.62), ("not-found", 0.56)),
        "chief|master|rank 0|rank0|worker 0|first worker|main process|other worker|other rank|other node",
        r"\bonly (?:the |on )?(?:is_)?(?:chief|master|rank ?0|worker 0|first worker|main process)\b.{0,40}?\b(?:rest"
        r"or|load|find|found"
        r"|read|see)\w*|\b(?:non-chief|other) (?:workers?|ranks?|nodes?)\b.{0,60}?(?:\bnot|n't|\bfail\w*|\bunable)\b.{0,30}?"
        r"\b(?:restor|load|find|found|read|see)\w*",
        "one process of the run restores, and the others do not: they look elsewhere, or are not told to",
        "Let every process restore from one shared folder (or broadcast after the chief did).",
        "Only the chief restores the checkpoint, the other workers start anew",
    ),
)  # fmt: skip
