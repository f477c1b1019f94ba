"""What people tell in their own words of the files themselves: gone, empty, too many, not there, or a save that does not end."""

from __future__ import annotations

from .telling import told

ENTRIES = (
    told(
        "told-several-writers",
        (("concurrency", 0.72), ("retention", 0.5), ("storage", 0.48)),
        "process|rank|user|run|rac|writer|same time|simultaneous|concurrent|being written|job|thread|before|worker|half",
        r"(?:other|another|two|several|multiple|different|all|non-?zero|every) (?:other )?(?:process\w*|ranks?|users?|runs?"
        r"|writers?|jobs?|threads?)\b.{0,120}?"
        r"(?:overwr|remov|delet|writ|save|read|clobber|collid|return|same (?:file|path|folder|directory))|\brac(?:e|es|ing)\b"
        r"|(?:at the same time"
        r"|simultaneously|concurrently)|while it is being written|(?:load|read|pick|restor|us)\w*\b.{0,60}?before (?:it|they"
        r"|the \w+)"
        r" (?:is|are|was|were|has been|have been) (?:\w+ )?(?:saved|written|finished|complete|done)",
        "several processes or threads write, read or clear the same checkpoint, and nothing makes them wait for each other",
        "One writer for one path, a barrier before others read, and a folder for each run (`holdfast.Vault` holds a lock).",
        "Two processes save to the same file at the same time",
    ),
    told(
        "told-policy",
        (("retention", 0.7), ("storage", 0.48), ("metrics", 0.42)),
        "max_to_keep|keep_checkpoint|save_total_limit|save_top_k|keep_last|max_ckpt|save_best_only|deletes",
        r"max_to_keep|keep_checkpoint\w*|save_total_limit|save_top_k|keep_last\w*|max_ckpt\w*|save_best_only|\bdeletes (?:my"
        r"|the|all|every|at most)",
        "what is kept and what is deleted is not what was asked for",
        "Look at the order by which it deletes (name, time or metric), keep more, and pin what is needed (`vault.pin`).",
        "The trainer does not respect save_total_limit and keeps all checkpoints",
    ),
    told(
        "told-best-anew",
        (("retention", 0.73), ("resume-state", 0.69), ("metrics", 0.4)),
        "inf",
        r"(?:best|threshold|monitor\w*|val_\w+|metric|score|loss|it)\b.{0,120}?(?:starts?|starting|taken|initiali[sz]ed|reset"
        r"|set|"
        r"begins?|restart\w*) (?:again )?(?:with|as|at|to|from) (?:[-+]?(?:np\.|math\.)?inf\b|[-+]?infinity)",
        "the best value of the run before is forgotten: the first save of the new run counts as the best and replaces the file",
        "Give the callback its best value (`initial_value_threshold`, `callback.best = ...`) or save it with the state.",
        "After a restart the best val_loss is initialized to inf, so the first epoch overwrites the best file",
    ),
    told(
        "told-other-disk",
        (("storage", 0.64), ("not-found", 0.52), ("concurrency", 0.4)),
        "drive|nfs|s3|bucket|mount|network|gcs|hdfs|nas|lustre",
        r"(?:google drive|\bg?drive\b|\bNFS\b|\bS3\b|bucket|mount\w*|network (?:drive|disk|share)|\bGCS\b|HDFS|\bNAS\b"
        r"|Lustre)\b.{0,120}?(?:not (?:\w+ )?"
        r"(?:saved|there|visible|written|appear)|missing|late|delay|disappear|empty|slow|fail|error)"
        r"|(?:not (?:being )?saved|missing|disappear\w*|fail\w*)\b.{0,60}?(?:google drive|\bg?drive\b|\bNFS\b|\bS3\b|bucket"
        r"|mount|\bGCS\b|HDFS)",
        "the (network or cloud) disk did not take the file, or shows it late",
        "Save to a local disk and copy when it is whole; look again after a `sync` (drives write in the background).",
        "Checkpoints are not saved in Google Drive while training runs",
    ),
    told(
        "told-kept",
        (("retention", 0.68), ("metrics", 0.48), ("storage", 0.42)),
        "my|best|worse|new|latest|last|good|old|previous|earlier|all|every|needed|checkpoint|ckpt|weights|keep|over it|over "
        "the|wrong",
        r"\b(?:best|newest|latest|last|good|older?|previous|earlier|all|every|needed|my|checkpoints?|ckpts?|(?:best"
        r"|weights) file)\b.{0,100}?"
        r"\b(?:overwrit\w+|overwrote|(?:is |are |was |were |been |gets? )(?:deleted|removed|replaced|lost|gone)|disappear\w*"
        r"|for ever|never (?:deleted|removed|cleaned)|not (?:saved|kept) (?:at|any|after)|silently not saved)"
        r"|(?:delet|remov|overwr|replac|clean)\w+ .{0,60}?(?:best|newest|latest|last|previous|my|all|needed|wrong|checkpoint"
        r"|ckpt)\b"
        r"|keeps? (?:only )?the (?:last|latest|final)\b.{0,60}?(?:not|instead|rather)|sav\w+ over (?:it|the best)"
        r"|worse (?:model|one|checkpoint)\b.{0,80}?(?:overwr|replac|saved)|best\b.{0,80}?(?:restarted|forgot\w*|afresh"
        r"|started over|reset)",
        "a checkpoint was deleted, overwritten or not kept while it was still needed",
        "Keep more of them, pin the one that is needed (`vault.pin`), save the best value with the state, and give each run a "
        "folder.",
        "The second run forgot its best score, and a worse model overwrote the best file",
    ),
    told(
        "told-best-weights",
        (("retention", 0.74), ("metrics", 0.62), ("resume-state", 0.4)),
        "best weights|best_weights|earlystopping|best model|best epoch|best one|best checkpoint|best value|load_best",
        r"(?:EarlyStopping|restore_best_weights|load_best\w*|best (?:weights|model|epoch|one|checkpoint"
        r"|value))\b.{0,120}?(?:\bnot\b|n't\b"
        r"|only if|unless|(?:of|from) the (?:last|end))",
        "the weights at the end are those of the last epoch, or of another one than the best",
        "Load the best checkpoint by its path after training; `EarlyStopping` restores only where it stops the run itself.",
        "EarlyStopping doesn't give me the best weights when training reaches the last epoch",
    ),
    told(
        "told-full-disk",
        (("storage", 0.66), ("retention", 0.62), ("incomplete-save", 0.4)),
        "disk|drive|space|storage|quota|gb of",
        r"(?:fill|eat|exhaust|use|consum|tak|run\w* out of|out of|not enough|no more)\w*\b.{0,40}?\b(?:disk|drive|(?:free "
        r"|storage )?space|storage"
        r"|quota)\b|(?:disk|drive|storage|quota|space)\b.{0,30}?\b(?:full|fills?|filled|exhausted|exceeded|runs out|ran out)",
        "checkpoints take more room than there is",
        "Keep fewer (`max_to_keep`, `save_total_limit`, `save_top_k`), without the optimizer where it is not needed; `df -h`, "
        "`quota -s`.",
        "My checkpoints fill up the disk after a few epochs",
    ),
    told(
        "told-while-written",
        (("async-save", 0.7), ("concurrency", 0.5), ("incomplete-save", 0.46)),
        "background|async|staged|staging|not copied|while it is|while it was|being written|being saved|next "
        "step|values|chang|mutat|updat",
        r"\b(?:background|async\w*|asynchron\w*)\b.{0,120}?\b(?:sav|writ|checkpoint)|\b(?:sav"
        r"|checkpoint)\w*\b.{0,80}?\b(?:background|async\w*|staged"
        r"|staging)\b|(?:not copied|values) (?:before|after|of) (?:writ\w+|the (?:next )?(?:update|step))"
        r"|(?:chang|mutat|updat)\w+\b.{0,60}?(?:while|before) (?:it (?:is|was)|they (?:are|were)|being) ?(?:being )?(?:written"
        r"|saved|staged)",
        "a save in the background was not finished, or what it wrote changed meanwhile",
        "Wait for it before the state changes, before the next load and before the end (`future.result()`, "
        "`wait_until_finished()`).",
        "Right after an async save the model is changed before it has been staged",
    ),
    told(
        "told-torn",
        (("async-save", 0.6), ("incomplete-save", 0.56), ("resume-state", 0.5)),
        "step|epoch|old weights",
        r"\b(?:step|epoch)\b.{0,60}?\d.{0,60}?\bwhile\b.{0,80}?\b(?:step|epoch) \d|old weights .{0,60}?(?:new"
        r"|newest) (?:optimizer|epoch|state)",
        "the parts of one checkpoint are of different steps",
        "Take one snapshot of all parts, and publish it by one rename (`holdfast.Vault`); clone tensors on the CPU before they "
        "are queued.",
        "The saved optimizer's step is 2 while the weights in the same checkpoint are of step 1",
    ),
    told(
        "told-memory",
        (("memory", 0.68), ("topology", 0.4), ("graph-lifecycle", 0.38)),
        "memory|ram|oom|vram",
        r"\b(?:memory|ram)\b.{0,60}?\b(?:grow|leak|doubl|increas|runs? out|ran out|explod|full|exhaust|crash|not (?:freed"
        r"|released)|without end)"
        r"|(?:grow|leak|doubl|increas|runs? out of|ran out of|out of|exhaust|eat|tak|us)\w*\b.{0,40}?\b(?:memory|ram)\b|\bOOM\b",
        "a save or a load needs memory for a second copy of the state, or does not give it back",
        "Load to the CPU (`mmap=True`), free the loaded dict, save in shards; build graph and Saver once, not in a loop.",
        "After each checkpoint the GPU memory grows until training runs out of memory",
    ),
    told(
        "told-hangs",
        (("concurrency", 0.67), ("topology", 0.5), ("storage", 0.47), ("async-save", 0.4)),
        "hang|hung|stuck|freez|froze|deadlock|never return|never finish|forever|for ever|blocks|does not continue",
        r"\b(?:hangs?|hung|hanging|stuck|freez(?:es|ing)\b|freeze\b(?! \w*(?:bn|batch|layer|weight|backbone|the"
        r"|graph))|froze\b|deadlock\w*|never (?:returns?|finish\w*)|blocks|(?:waits?|blocked) for ?ever"
        r"|does not continue)\b",
        "a save or a load waits for something that does not come: other processes, a lock, or a slow disk",
        "All ranks must reach a collective save; save on one rank what needs no gathering; `py-spy dump` shows where each "
        "waits.",
        "Training hangs when it saves the checkpoint on several GPUs",
    ),
    told(
        "told-nothing-there",
        (("not-found", 0.64), ("resume-state", 0.56), ("retention", 0.42)),
        "missing|not exist|not there|existence|wrong path|returns none|no such file|absolute|not found|cannot|can't",
        r"(?:missing|does not exist|not there|existence|wrong path|cannot be read|returns None|not found|can(?:no"
        r"|')t (?:be )?f(?:i|ou)nd|no such file)"
        r"\b.{0,160}?(?:from scratch|start\w* (?:anew|over|fresh|from)|fresh|silently|without (?:a word|an error)|new model"
        r"|empty|training)"
        r"|(?:still )?holds? absolute|absolute .{0,40}?paths?\b.{0,80}?(?:moved|other|copied)",
        "there is no checkpoint where it is looked for, and the program goes on without one",
        "Fail where a named checkpoint is missing; `holdfast FOLDER` says what lies there.",
        "A missing restore file makes the run start from scratch without a word",
    ),
    told(
        "told-large",
        (("size-limit", 0.7), ("corrupt", 0.44), ("memory", 0.4)),
        "gb|gib",
        r"\b[24] ?Gi?B\b.{0,120}?(?:zero|wrong|fail|limit|truncat|cannot|can't|not|error)|(?:larger|bigger|more|beyond|over"
        r"|above) (?:than )?[24] ?Gi?B\b",
        "a piece of the state is larger than the format takes at once",
        "Save in shards, or in a format without that limit.",
        "Elements beyond 2 GB come back as zeros after a save and a load",
    ),
    told(
        "told-empty-file",
        (("incomplete-save", 0.62), ("storage", 0.6), ("corrupt", 0.54)),
        "0|zero|empty|byte|kb",
        r"\b(?:0|zero)[- ]?(?:bytes?|kb|b)\b|(?:size (?:is |of )?(?:0|zero)|zero size)\b|(?:file|checkpoint|h5|model) (?:is"
        r"|was) (?:\w+ )?empty|empty file|\b(?:only|just|merely) (?:\d{1,4}|\d{1,2}[.,]\d+) ?(?:bytes?|kb)\b"
        r"|(?:variables|folder|directory) (?:is|was|are) empty",
        "the file was made and nothing (or not all) was written into it: the writer was killed, or the disk took no more",
        "Look for room and quota; write beside and rename (`holdfast.Vault`), and take the checkpoint before it.",
        "model.save makes a file of 0 bytes on the cluster",
    ),
    told(
        "told-broken-off",
        (("incomplete-save", 0.66), ("retention", 0.48), ("corrupt", 0.46)),
        "killed|crash|interrupt|preempt|power|half|commit|marker",
        r"(?:killed|crash\w*|interrupt\w*|preempt\w*|power \w+)\b.{0,40}?\b(?:while|during|in (?:the middle|between)"
        r"|mid)\b.{0,80}?(?:sav|writ|checkpoint)"
        r"|(?:while|during) (?:sav|writ)\w+.{0,80}?(?:killed|crash|interrupt|preempt)|half[- ](?:written|saved)|(?:lacks?|no"
        r"|missing) (?:the )?"
        r"(?:commit|marker)",
        "a save was broken off, and what lies there is not whole",
        "Take the checkpoint before it; write beside and rename.",
        "The job was killed while it was writing the checkpoint",
    ),
    told(
        "told-machines",
        (("topology", 0.64), ("storage", 0.5), ("concurrency", 0.48)),
        "gpus|devices|ranks|workers|nodes|world size|parameter server|on the master|multi-gpu|tensor parallel|pipeline "
        "parallel|sharded|hosts",
        r"(?:(?:other|another|different|changed|more|fewer|less) (?:number of )?(?:gpus|devices|ranks|workers|nodes|hosts)"
        r"|world size|parameter"
        r" servers?|on the master|multi-gpu|(?:tensor|pipeline) parallel|sharded)\b.{0,160}",
        "what was saved was cut up for another set of devices, or written on another machine than it is looked for",
        "Save sharded to a disk that all see, and load through the library's own resharding.",
        "The checkpoint was saved on 8 GPUs and I load it on a different number of GPUs",
    ),
    told(
        "told-weights-only",
        (("unsafe-pickle", 0.8), ("version-mismatch", 0.6), ("custom-object", 0.4)),
        "weights_only",
        r"(?:torch|pytorch)\W{0,3}(?:version )?v?2\.(?:[6-9]|\d\d)\b.{0,120}?weights_only"
        r"|weights_only.{0,120}?(?:torch|pytorch)\W{0,3}v?2\.(?:[6-9]|\d\d)\b",
        "torch 2.6 and later read with weights_only=True by default, and the file holds more than tensors and plain values",
        "`holdfast FILE` lists what it would import, without running it; allow those names, or save a state dict alone.",
        "Loading the checkpoint errors for torch v2.6.0 since weights_only=True is the default",
    ),
    told(
        "told-one-nodes-disk",
        (("topology", 0.8), ("storage", 0.6), ("not-found", 0.56)),
        "node|rank|worker|host|machine",
        r"\b(?:checkpoint|model|weights?|file|state)s?\b.{0,60}?\b(?:only|just) (?:\w+ )?(?:on|by|in|from) (?:the )?"
        r"(?:(?:node|rank|worker|host|machine)[ -]?(?:0|zero|one)|(?:first|master|head|chief|main) "
        r"(?:node|rank|worker|host|machine))"
        r"\b.{0,120}?\b(?:(?:node|rank|worker|host|machine)[ -]?[1-9]|(?:an)?other (?:node|rank|worker|host|machine))",
        "one machine wrote the checkpoint to its own disk, and another one, which does not see that disk, loads it",
        "Save to a folder that all machines see, or copy the checkpoint to each before it is loaded.",
        "The checkpoint is stored only on node 0, and loading it on node 1 fails as there is none",
    ),
    told(
        "told-not-atomic",
        (("incomplete-save", 0.8), ("corrupt", 0.56), ("concurrency", 0.4)),
        "atomic|partial|half",
        r"\b(?:checkpoint|model|weights?|sav(?:e|ing)|file)s?\b.{0,80}?(?:\b(?:not|n't|non)[ -]?(?:\w+ )?atomic"
        r"|\b(?:partially|half)[ -]written\b)|\b(?:partially|half)[ -]written\b.{0,40}?\b(?:checkpoint|model|file)",
        "the file is written in place: whoever reads it meanwhile, or a run that is killed, leaves a part of it",
        "Write aside, fsync, rename (`holdfast run --protect train.py` does so for an unchanged script; `holdfast.Vault` does).",
        "Checkpoint saving is not atomic, so a partially written file may be left when the job is killed",
    ),
)
