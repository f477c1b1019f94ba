"""What people tell of a save or a load, weighed word by word where no known sentence is found in it.

Each group of words speaks for some causes. Heard only where nothing else speaks, only in prose about something that is saved or
loaded, and softly. It speaks in 45 of some 3,700 labelled texts: with it the first cause is right in 31 of them, one of the first
three in 42; with :mod:`holdfast._diagnose.by_reports` alone, learned from the other threads, in 28 and 35. That is why there are
both.
"""

from __future__ import annotations

import re

from .._facts.causes import cause_of
from .knowledge import Guess
from .reading import Reading
from .surroundings import around

__all__ = ["by_words"]

_WORDS: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    (
        r"(?:number of|how many|wrong|fewer|more|total) (?:\w+ )?(?:steps|epochs|iterations)|max_steps|max_train",
        (("resume-state", 4),),
    ),
    (r"first call|until .{0,40}call|called on data|call the model|been called", (("lazy-build", 6),)),
    (r"load_best|save_steps|save_strategy|save_total|restore_best|save_freq", (("retention", 4),)),
    (r"\bdrive\b|\bnfs\b|\bs3\b|\bgcs\b|bucket|mounted", (("storage", 3),)),
    (
        r"accurac|\bacc\b|metrics?\b|predict|results?\b|outputs?\b|performance|scores?\b|\bm?ap\b|\bmiou\b|perplexity"
        r"|probabilit"
        r"|confidence|translations?\b|classified|evaluat|validat|\btest(?:ing| set| data)?\b|val_|infer",
        (("metrics", 3), ("missing-tensor", 1), ("preprocessing", 1)),
    ),
    (
        r"differ|not the same|worse|wrong|incorrect|lower|drop|bad\b|garbage|random|chance|inconsisten|nonsense|gibberish"
        r"|untrained|poor|awful|terribl",
        (("metrics", 2), ("preprocessing", 1), ("missing-tensor", 1)),
    ),
    (r"export|serving|served|frozen|deploy|tflite|onnx", (("metrics", 1), ("preprocessing", 1))),
    (
        r"preprocess|normali[sz]|tokeni|vocab|label|class(?:es| names| ids)|word.index|rgb|bgr|channel|lookup|scaler|resiz",
        (("preprocessing", 5),),
    ),
    (
        r"resum|continu|goes on|any ?more|restart|relaunch|interrupt|again|pause|where i left|left off|disconnect|second run"
        r"|next run|previous run",
        (("resume-state", 3), ("optimizer-hyperparameters", 1)),
    ),
    (
        r"\bloss\b|\bepochs?\b|\bsteps?\b|iteration|global.step|counter|from scratch|from the (?:beginning|start)|\banew\b",
        (("resume-state", 2),),
    ),
    (
        r"\bseed|random state|\brng\b|shuffl|sampler|data ?loader|same (?:data|batch)|order of",
        (("resume-state", 3),),
    ),
    (
        r"learning.rate|\blr\b|schedul|weight.decay|warm-?up|\bbetas\b|hyper-?param",
        (("optimizer-hyperparameters", 6),),
    ),
    (
        r"optimi[sz]er|momentum|\bslots?\b|\badam\w*|moments\b",
        (("optimizer-structure", 4), ("resume-state", 2)),
    ),
    (
        r"\blast \d+\b|only (?:the )?(?:last|latest|final)|save[sd]? only|\bbest\b|monitor|early.?stop|modelcheckpoint|keep"
        r"|kept|max_to_keep|top.?k|save_total_limit|save_freq|period\b"
        r"|every (?:\w+ )?(?:epoch|step)",
        (("retention", 3), ("metrics", 1)),
    ),
    (r"delet|overwr|remov|disappear|vanish|replac|\bgone\b|clean", (("retention", 4), ("concurrency", 1))),
    (r"memory|\bram\b|\boom\b|\bvram\b|\bleak", (("memory", 8),)),
    (
        r"\bdisk|\bspace\b|quota|storage|\bdrive\b|\bnfs\b|\bs3\b|\bgcs\b|bucket|mount|permission|hdfs|path too long|cluster",
        (("storage", 5),),
    ),
    (
        r"hang|hung|stuck|freez|deadlock|time.?out|never return|never finish|wait",
        (("concurrency", 5), ("topology", 1)),
    ),
    (
        r"process(?:es)?\b|\branks?\b|workers?\b|threads?\b|at the same time|\brace|simultan|concurrent|nccl|lock",
        (("concurrency", 4), ("topology", 1)),
    ),
    (
        r"multi.?gpu|\bgpus\b|\bddp\b|fsdp|shard|tensor.parallel|pipeline.parallel|world.size|nodes?\b|devices\b|dataparallel"
        r"|deepspeed|zero.?[23]",
        (("topology", 4), ("concurrency", 1)),
    ),
    (
        r"no (?:\w+ ){0,2}(?:checkpoint|model|file|weights)|not (?:find|found|there|exist)|cannot find|can't find|couldn't find"
        r"|missing"
        r" file|where (?:is|are|do|can)|no such|nothing is saved|nothing (?:is|was|gets) (?:being )?sav",
        (("not-found", 5), ("retention", 2)),
    ),
    (
        r"while (?:it (?:is|was) )?(?:being )?(?:sav|train|writ|copy)|lost .{0,30}(?:days|hours|weeks)|empty|0 ?(?:bytes|kb"
        r"|b\b)|incomplete|half|truncat|partial|killed|crash|power|preempt|only \d+ ?(?:kb|bytes)",
        (("incomplete-save", 4), ("corrupt", 1)),
    ),
    (r"corrupt|broken|damag|unreadable|checksum", (("corrupt", 5),)),
    (
        r"\bslow|takes (?:\w+ ){0,3}(?:long|hours|forever)|grow|graph|session|loop",
        (("graph-lifecycle", 4), ("memory", 1)),
    ),
    (r"\b[24] ?gi?b\b|too (?:large|big)|limit\b", (("size-limit", 5),)),
    (
        r"fp16|fp32|bf16|bfloat16|float(?:16|32|64)|half.precision|dtype|mixed.precision|\bint8\b",
        (("dtype-mismatch", 6),),
    ),
    (r"custom|lambda|subclass|get_config|register", (("custom-object", 5),)),
    (
        r"can(?:no|')t be saved|can(?:no|')t save|pickl|seriali[sz]|\bjson\b|deepcopy",
        (("unserialisable", 5),),
    ),
    (
        r"upgrad|version|downgrad|updat(?:e|ed|ing) (?:to|keras|tensorflow|torch|transformers)|\bnewer\b|\bolder\b",
        (("version-mismatch", 6),),
    ),
    (
        r"weights? (?:\w+ )?(?:not|aren't|are not|is not) |not (?:\w+ ){0,2}(?:load|restore)|initiali[sz]er|ignor|skip|silently"
        r"|re-?initiali|newly|uninitiali",
        (("missing-tensor", 3), ("renamed", 1)),
    ),
    (
        r"batch.?norm|moving|running (?:mean|var)|statistic|\bema\b|averag|eval mode|training mode|dropout",
        (("metrics", 2), ("missing-tensor", 3)),
    ),
    (r"\bnames?\b|prefix|renam|scope|by_name|module\.", (("renamed", 5), ("missing-tensor", 2))),
    (r"\bshapes?\b|\bsizes?\b|dimension|number of classes|num_classes", (("shape-mismatch", 5),)),
    (
        r"not (?:yet )?(?:built|created|called)|lazily|\bbuild\b|before (?:the )?(?:first|training|build)|yet\b|deferred",
        (("lazy-build", 5), ("optimizer-structure", 1)),
    ),
    (r"async|background|non.?blocking|wait_until|future", (("async-save", 7),)),
    (
        r"\bformat|\.h5|hdf5|\.pb\b|\.keras|safetensors|convert|\bckpt to\b|extension",
        (("format-mismatch", 3),),
    ),
    (r"weights_only|arbitrary code|malicious|unsafe|untrusted|security", (("unsafe-pickle", 8),)),
)
_COMPLAINS = (
    r"\b(?:not|no|nothing|none|never|cannot|without|only|but|although|why|how|yet|instead|fewer|before)\b|n't\b|\?|wrong|error"
    r"|fail"
    r"|problem|issue|bug\b|unable|differ|worse|bad\b|drop|lower|higher|lost|los(?:e|es|ing)\b|reset|jump|spik|slow|grow|leak"
    r"|full"
    r"|hang|stuck|freez|crash|kill|disappear|overwr|delet|remov|stop|abort|random|garbage|nonsense|gibberish|poor\b|terribl"
    r"|awful|strange|weird|chance|again|restart|silent|missing"
    r"|mismatch|corrupt|empty|damag|\bhigh\b|\blow\b|same\b|always|expect|suppos|out of|old\b|\d ?%.*\d ?%|disconnect|\bnull\b"
    r"|\bstops\b|incorrect"
    r"|inconsisten|twice|begins|starts|keeps|too\b"
)
"""Without one of these nothing went wrong in what is told."""
_LONG = 2500
_SURE = (0.46, 0.4, 0.34)
_ENOUGH = 2


def by_words(reading: Reading) -> list[Guess]:
    """At most three guesses for prose about something saved or loaded; none for any other text."""
    text = reading.text.lower()
    if len(text) > _LONG or not around(reading).prose or re.search(_COMPLAINS, text) is None:
        return []
    points: dict[str, int] = {}
    heard: dict[str, str] = {}
    for pattern, causes in _WORDS:
        found = re.search(pattern, text)
        if found is not None:
            for label, number in causes:
                points[label] = points.get(label, 0) + number
                heard.setdefault(label, found.group())
    ranked = sorted(
        (label for label in points if points[label] >= _ENOUGH), key=lambda label: -points[label]
    )[:3]
    return [_guess(label, sure, heard[label]) for label, sure in zip(ranked, _SURE, strict=False)]


def _guess(label: str, sure: float, heard: str) -> Guess:
    cause = cause_of(label)
    title, remedy = (cause.title, cause.remedy) if cause is not None else (label, "")
    return Guess(
        label,
        sure,
        f"no known message; what is told fits this best: {title[:1].lower()}{title[1:]}",
        remedy,
        heard,
        "the message and the traceback, if there is one",
        entry="by-words",
    )
