"""What people tell of a save or a load in their own words, where nothing was printed: concept beside concept.

Each entry names what was kept (a rate, a file, a label map) and what became of it (gone, shifted, started anew). They speak of
prose, where no entry knows the message: in a traceback or a log such words say nothing.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import in_prose

_RESUMED = (
    r"(?:resum|restart|continu|restor|reload|load|relaunch|interrupt|crash|second|checkpoint|again|anew)\w*"
)
_AUDIT = "`holdfast audit CKPT module:evaluate` restores, measures again, and tests the causes one by one."
_DRILL = "`holdfast drill SCRIPT` restores in the middle and shows which part of the state did not come back."
_CHECK = "`holdfast check CKPT module:factory` compares names, shapes and types before anything is loaded."


_MEASURED = (
    r"(?:accurac\w+|\bacc\b|\bmetrics?|predict\w*|\bresults?|\boutputs?|performance|\bscores?|\bm?AP\b|BLEU|PSNR|\bAUC|\bF1"
    r"|Dice|IoU"
    r"|recall|precision|(?:validation|test|val|eval) loss)"
)
_WORSE = (
    r"(?:\bdiffer\w*|\bworse|\bdrop\w*|\blower|garbage|\bwrong|\bbad\b|\bzero|inconsistent|not (?:the )?same|\bchang\w+"
    r"|decreas\w+"
    r"|degrad\w+|(?:goes|went|go|is|came|comes) down|\bfalls?\b|\bfell\b|\blost\b|\bruin\w*|\bpoor|\blow\b|\bterrible"
    r"|not reproduc\w+)"
)


_INPUTS = (
    r"\b(?:labels?(?:[ _](?:ids?|maps?|mapping|lists?|names?|ind(?:ex|ices)|order))?|class(?:es|[ _](?:ids?|names?|order|map\w*"
    r"|ind(?:ex|ices)))"
    r"|token(?:s| ids?|i[sz]er\w*)|vocab\w*|lookup (?:layer|table)|normali[sz](?:ation|er|ed|ing)\b|preprocess\w*|features?"
    r"|channels?"
    r"|categor(?:y|ies)(?: mapping)?)\b"
)
_SHIFTED = (
    r"(?:\bshift|permut|(?:other|another|different|wrong) (?:order|one|map|ids?|index|names?|results?)|(?:order|map\w*|it"
    r"|index) (?:was|is|are)"
    r" (?:different|wrong)|\bempty|not (?:match|go together|saved|the same|correspond|loaded|applied)|mismatch|swapped"
    r"|\bwrong\b|comes? out"
    r"|\bkeeps? another|(?:is|are) lost|must be adapted|adapted again|off by|in another)"
)

_CODED = (
    r"(?:vocab\w*|tokeni[sz]\w*|word[ _]index|label (?:encod\w*|map)|dictionary|class[ _]indices|scaler)\b.{0,100}?"
    r"\b(?:built|fit|fitted|creat\w+|made|generated|computed|from a set|order)\b"
)


def told(
    slug: str,
    rows: tuple[tuple[str, float], ...],
    has: str,
    says: str,
    why: str,
    remedy: str,
    example: str,
    beside: str = "",
) -> Entry:
    """An entry for prose: the first of ``rows`` is its label, the others what else it may be. ``beside``: one of these words must
    be there too."""
    return Entry(
        slug,
        rows[0][0],
        tuple(has.split("|")),
        says,
        why=why,
        remedy=remedy,
        example=example,
        weigh=ranked(*rows),
        where=in_prose,
        context=tuple(filter(None, beside.split("|"))),
        only_in=beside != "",
    )


ENTRIES = (
    told(
        "told-worse",
        (("metrics", 0.61), ("missing-tensor", 0.46), ("preprocessing", 0.45), ("resume-state", 0.4)),
        "acc|metric|predict|result|output|performance|score|ap|bleu|psnr|loss|auc|f1|dice|iou|recall|precision",
        rf"(?:{_MEASURED}\b.{{0,100}}?{_WORSE}|{_WORSE}.{{0,40}}?{_MEASURED})",
        "the restored model does not do what it did when it was saved",
        _AUDIT,
        "Keras accuracy goes down dramatically after loading a saved model",
        beside="load|restor|resum|sav|checkpoint",
    ),
    told(
        "told-worse-on-going-on",
        (("resume-state", 0.68), ("metrics", 0.6), ("optimizer-structure", 0.45)),
        "acc|metric|predict|result|output|performance|score|ap|bleu|psnr|loss|auc|f1|dice|iou|recall|precision",
        rf"(?:{_MEASURED}|\bloss\w*)\b.{{0,100}}?(?:{_WORSE}|\bstarts? (?:from|at|with|low|high)|\bhigh)",
        "the training that goes on is not where it stopped: optimizer, step, or some of the weights did not come back",
        _DRILL,
        "When I continue training from the checkpoint, the accuracy starts at 60 % and not at the 80 % from before",
        beside="resum|continu| retrain|re-train|second run|second training|training again|train again|start_from|left off|goes "
        "on",
    ),
    told(
        "told-state-left-out",
        (("resume-state", 0.68), ("optimizer-hyperparameters", 0.5), ("optimizer-structure", 0.4)),
        "mid|middle of an epoch|data set again|dataset again|scal|schedul|sampler|loader|random|rng|seed|counter|patience"
        "|whole data",
        r"mid[- ]epoch|middle of an epoch|(?:whole|entire|full) data ?set again|(?:loss.scal\w*|grad\w* ?scaler|scaler"
        r"|scheduler|sampler|data ?loader|rng"
        r"|random|seed|counter|patience)\b.{0,80}?(?:not (?:fully )?(?:stored|saved|checkpoint\w*|restored|kept|loaded|resumed)"
        r"|missing"
        r"|starts? again|from zero|from 0|re-?initiali[sz])",
        "a part of the training's state is not in the checkpoint, or is not taken from it",
        "Save and restore the whole state (`holdfast.Vault` does). " + _DRILL,
        "Resuming in the middle of an epoch goes through the whole data set again",
    ),
    told(
        "told-as-at-the-start",
        (("resume-state", 0.63), ("metrics", 0.5), ("optimizer-structure", 0.46), ("not-found", 0.42)),
        "fall|start|begin|begun|revert|base|initial|jump|spik|increas|higher|large|explod|nan|diverg|reduce|fewer|all "
        "epochs|epoch",
        rf"(?:start\w*|begin\w*|begun)\b.{{0,40}}?(?:initial|first|original|untrained|scratch|high|random)\b.{{0,60}}?(?:loss"
        rf"|value|acc|weight)"
        rf"|{_RESUMED}.{{0,100}}?(?:revert\w*|falls? back) to\b|(?:loss\w*|training|variance|gradient\w*"
        rf"|perplexity)\b.{{0,60}}?(?:jump|spik|increas|higher"
        rf"|explod|\bnan\b|diverg).{{0,100}}?{_RESUMED}|(?:jump|spik|increas|higher|explod|diverg)\w*\b.{{0,60}}?(?:loss"
        rf"|variance|perplexity).{{0,100}}?"
        rf"{_RESUMED}|{_RESUMED}.{{0,100}}?loss\w*.{{0,40}}?(?:jump|spik|increas|higher|large|explod|\bnan\b|diverg)"
        rf"|{_RESUMED}.{{0,120}}?(?:model|run|curves?|trajectory)\b.{{0,20}}?diverg|diverg\w*.{{0,60}}?{_RESUMED}"
        rf"|not (?:reduce|subtract|count)\w*\b.{{0,40}}?epochs|(?:trains?|does|runs?) (?:all|\d+|the full) .{{0,20}}?epochs",
        "the run that was resumed goes on as if from an earlier state: step, optimizer, or all of it did not come back",
        _DRILL,
        "After I resume, the loss jumps to where it was at the start",
    ),
    told(
        "told-rate",
        (("optimizer-hyperparameters", 0.67), ("resume-state", 0.64), ("optimizer-structure", 0.4)),
        "rate|lr|schedul|decay|betas|length|steps|epochs|batch",
        r"(?:learning[- ]rate|\blr\b|\brate\b|schedul\w*|weight.decay|\bbetas\b|training length|total steps|number of (?:steps"
        r"|epochs))"
        r"\b.{0,120}?(?:\binitial|first value|original|\banew|\bafresh|start\w* (?:over|again|from)|restarts?\b|\breset"
        r"|goes? back|is back"
        r"|\bwins\b|no effect|ignored|replaced|overw\w+|recomputed|stored one|old (?:one|value)|(?:always|still) (?:set to|at"
        r"|starts|begins)|not (?:been )?(?:applied|restored|initiali[sz]ed|kept"
        r"|saved|updated))"
        r"|(?:batch size|epochs)\b.{0,120}?(?:too many (?:steps|epochs)|times (?:too )?(?:many|more) (?:steps|epochs)"
        r"|schedule is)",
        "a hyperparameter of the optimizer, or its schedule, is another after the restore: the saved one overwrites the new "
        "one, or it "
        "begins anew",
        "Set it after loading, and restore the scheduler with the optimizer; " + _DRILL,
        "After I resume, the learning rate goes back to the value from the start",
    ),
    told(
        "told-position",
        (("resume-state", 0.66), ("optimizer-hyperparameters", 0.44), ("metrics", 0.4)),
        "other|different|same|repeat|replay|shuffl|augment|permutation|seed|random|order|iterator|extra epoch|more "
        "epoch|patience|early|cooldown|scaler|step |epoch |scratch|beginning|anew|from 0|over again|finished run|at "
        "once|bit-|reproduc|ema ",
        rf"\b{_RESUMED}\b.{{0,160}}?(?:same (?:data|batch(?! size)|sample|order|example|element|permutation|seed)(?:es|s)?\b"
        rf"|repeats?\b"
        rf"|replay|shuffl|augment"
        r"|permutation|random (?:stream|state|number)|(?:other|another|different) (?:order|seed|data|batch)|iterator|(?:extra"
        r"|more) epoch"
        r"|patience|early.?stopp|cooldown|scaler|(?:step|epoch) [01]\b|from (?:scratch|the beginning|0\b)|\banew\b|over again"
        r"|not (?:bit-)?reproduc)"
        rf"|(?:same (?:data|batch(?! size)|sample|order|example)(?:es|s)?\b|repeats?\b|replay|shuffl\w*|augment\w*|permutation"
        rf"|random (?:stream|state)|iterator"
        rf"|patience|early.?stopp\w*|cooldown|finished run|(?:step|epoch) [01]\b|from (?:scratch|the beginning"
        rf"|0\b))\b.{{0,160}}?\b{_RESUMED}",
        "a part of the training's state did not come back: data position, random state, step or epoch, or what callbacks count",
        "Save and restore the whole state (`holdfast.Vault` does). " + _DRILL,
        "Every time I restart from the checkpoint the loader gives the same batches as at the beginning",
    ),
    told(
        "told-number-type",
        (("dtype-mismatch", 0.7), ("memory", 0.44), ("metrics", 0.42)),
        "fp32|fp16|bf16|float32|float16|float64|half|int8|precision",
        r"\b(?:fp32|fp16|bf16|bfloat16|float32|float16|float64|int8|(?:half|full|double|mixed"
        r"|lower)[- ]precision)\b.{0,120}?\b(?:cast|become"
        r"|becomes|became|converted|turned|rebuilt|lost|comes? back|came back|changed|upcast|downcast|instead|load|restor|resum"
        r"|sav)"
        r"|precision (?:is |was )?(?:lost|dropped)",
        "tensors have another number type after the load than before the save",
        "Give both sides one type, and look at the moments of the optimizer too; " + _CHECK,
        "After restoring, the bf16 moments have turned into fp32",
    ),
    told(
        "told-no-effect",
        (("renamed", 0.64), ("missing-tensor", 0.6), ("format-mismatch", 0.5)),
        "no effect|no influence|base model|nothing|untrained|not loaded|not actually|no keys|zero tensors|0 keys|actually "
        "loaded",
        r"\b(?:adapter|lora|weights?|checkpoint|by_name|pretrained|load\w*|restor\w*)\b.{0,160}?(?:no (?:effect|influence)"
        r"|(?:of|as|like|to) the base"
        r" model|(?:load|restor|match)\w* nothing|nothing (?:was |is |gets )?(?:loaded|restored|matched)|as if (?:it (?:was"
        r"|were) )?untrained"
        r"|(?:not|never) actually loaded|weights (?:are|were) not loaded|no keys|zero tensors|0 keys)",
        "nothing (or next to nothing) of the file found a place in the model, and nothing said so: other names, a prefix, or a "
        "nested dict",
        _CHECK,
        "The adapter loads without an error but has no effect on the output",
    ),
    told(
        "told-fits-in-part",
        (("missing-tensor", 0.6), ("unexpected-tensor", 0.5), ("shape-mismatch", 0.48)),
        "what fits|never errors|without an error|without error|without any error|no error|silently|strict=false|skip|not "
        "able|unable|only some|all "
        "zeros|not in the|tied|separate",
        r"\b(?:load|restor)\w*\b.{0,100}?(?:what fits|never errors|without (?:an |any )?error|no error|silently (?:skip|ignor"
        r"|drop)|strict=False"
        r"|skip\w*)\b.{0,120}?|(?:not able|unable) to (?:load|restore|recover) (?:all|every|some|the rest)\b.{0,60}"
        r"|only some of .{0,60}?(?:loaded|restored)|\b(?:layer|variable|head|tensor|mean|variance|statistic|buffer"
        r"|embedding)s?\b.{0,60}?(?:all zeros|not in the"
        r" (?:snapshot|checkpoint|file|saver))|(?:tied|untied|separate) (?:weights?|head|embedding)\w*.{0,80}",
        "the file and the model do not hold the same tensors, and the loader takes what fits without a word",
        _CHECK,
        "Restoring a deeper model's file loads what fits and raises no error",
    ),
    told(
        "told-other-shape",
        (("shape-mismatch", 0.66), ("missing-tensor", 0.46), ("renamed", 0.4)),
        "shape|dimension|number of classes",
        r"(?:other|another|different|wrong) (?:shape|dimension)s?\b.{0,120}?(?:load|restor|sav|without|error)|(?:load"
        r"|restor)\w*.{0,120}?"
        r"(?:other|another|different|wrong) (?:shape|dimension)|(?:other|another|different|changed) number of classes",
        "a tensor has another shape in the file than in the model",
        _CHECK,
        "A layer of the same name but of another shape is loaded without an error",
    ),
    told(
        "told-pipeline",
        (("preprocessing", 0.69), ("metrics", 0.5), ("shape-mismatch", 0.4)),
        "label|class|token|vocab|normali|preprocess|feature|channel|lookup|categor",
        rf"{_INPUTS}.{{0,120}}?{_SHIFTED}|{_SHIFTED}.{{0,60}}?{_INPUTS}",
        "the input pipeline is not the one that the model was trained with: labels, tokens, order or scaling differ",
        "Save label map, tokenizer and scalers beside the checkpoint, and load them with it. " + _AUDIT,
        "After loading, the predicted class ids are shifted: the label list has another order",
    ),
    told(
        "told-inputs-anew",
        (("preprocessing", 0.79), ("metrics", 0.6), ("resume-state", 0.45)),
        "acc|metric|predict|result|output|performance|score|ap|bleu|psnr|loss|auc|f1|dice|iou|recall|precision",
        rf"(?:{_MEASURED}\b.{{0,200}}?{_WORSE}|{_WORSE}.{{0,200}}?{_MEASURED}).{{0,400}}?{_CODED}"
        rf"|{_CODED}.{{0,400}}?(?:{_MEASURED}\b.{{0,200}}?{_WORSE}|{_WORSE}.{{0,200}}?{_MEASURED})",
        "what turns inputs into numbers was made anew, and is not what the model was trained with",
        "Save the vocabulary, encoder or scaler beside the checkpoint, and load it with it; a `set` has another order in each "
        "run.",
        "Accuracy changes when I load the model in a new session; the vocabulary is built from a set",
    ),
    told(
        "told-optimizer-gone",
        (("resume-state", 0.7), ("optimizer-structure", 0.66), ("lazy-build", 0.42)),
        "optimi|momentum|slot|adam|moments",
        r"(?!.*(?:\brates?\b|\blr\b))\b(?:optimi[sz]er(?:'s|s)?|momentum|slots?|Adam|moments)\b.{0,120}?\b(?:reset|lost"
        r"|(?:not|never|aren't|isn't) (?:being |been )?(?:restored|loaded|kept|saved))\b",
        "the optimizer's state did not come back with the weights",
        "Save by a format that keeps it, build the optimizer before loading, and compare the number of slots. "
        + _DRILL,
        "After load_model the state of the optimizer is reset",
    ),
    told(
        "told-optimizer",
        (("optimizer-structure", 0.66), ("resume-state", 0.62), ("lazy-build", 0.44)),
        "optimi|momentum|slot|adam|moments|train",
        r"\b(?:optimi[sz]er(?:'s|s)?|momentum|slots?|Adam|moments)\b.{0,120}?\b(?:empty|no (?:weights|slots|state|variables)"
        r"|gone|less|fewer|not there"
        r"|missing|as a list|in place of|instead of a|dropped|different (?:number|order)"
        r"|order\b)|(?:number of|fewer|less|no) (?:optimizer (?:weights|variables|slots)|slots)\b"
        r"|train\w* on after .{0,60}?not reproduce",
        "the optimizer's slots did not come back, or not to their places",
        "Compare the number of slots before and after; save by a format that keeps them, and build the optimizer before "
        "loading.",
        "After load_model the optimizer has fewer variables than before",
    ),
    told(
        "told-statistics",
        (("metrics", 0.66), ("missing-tensor", 0.56), ("resume-state", 0.46)),
        "batch|moving |running |eval mode|eval()|training mode|train mode|dropout|ema|average",
        r"\b(?:batch.?norm\w*|moving (?:mean|average|variance)s?|running (?:mean|average|statistic|variance)s?|eval mode"
        r"|eval\(\)|train(?:ing)?"
        r" mode|dropout|EMA|averaged? weights)\b.{0,200}",
        "the model is measured with other statistics or weights than those that the logged number belongs to (BatchNorm, EMA, "
        "eval mode)",
        _AUDIT,
        "The frozen model is still in training mode and has no BatchNorm statistics",
    ),
    told(
        "told-two-bests",
        (("metrics", 0.6), ("retention", 0.52), ("resume-state", 0.36)),
        "best|metric|top",
        r"\b(?:best|top[- ]?\d?|metrics?)\b.{0,120}?\b(?:not in (?:the )?top|last (?:step|batch|value|file)|first one"
        r"|monitors? nothing|differs?|"
        r"each rank|instead of the (?:epoch|mean|average)|wrong)\b|\bnot (?:\w+ )?sav\w+\b.{0,40}?\b(?:based on|by"
        r"|at) (?:the )?best\b",
        "the number by which the best is told is another than the one that is meant: of one step, of one rank, of another "
        "callback",
        "Log the metric that the callback monitors, reduced over ranks and batches, under one name. "
        + _AUDIT,
        "The best checkpoint is chosen by the last step's value instead of the epoch mean",
    ),
    told(
        "told-untrained",
        (("metrics", 0.6), ("missing-tensor", 0.54), ("renamed", 0.46), ("preprocessing", 0.44)),
        "chance|random|garbage|untrained|not trained|nonsense|from zero|not been trained|constant|always|totally different",
        rf"\b{_RESUMED}\b.{{0,160}}?(?:\bchance\b|\brandom(?:ly)?\b|garbage|nonsense|untrained|not (?:been )?trained"
        rf"|always (?:the same|predicts)|from zero)"
        rf"|(?:predict\w*|outputs?|results?)\b.{{0,60}}?\brandom\b.{{0,40}}?(?:every|each) (?:time|run)"
        rf"|totally different from (?:the )?"
        rf"trained|(?:\bchance\b|\brandom\b|garbage|nonsense|untrained|not (?:been )?trained|always (?:the same"
        rf"|predicts))\b.{{0,160}}?\b{_RESUMED}",
        "the loaded model behaves as if it had not been trained",
        _AUDIT + " " + _CHECK,
        "Accuracy is at chance after loading the weights",
    ),
    told(
        "told-not-yet",
        (("lazy-build", 0.68), ("optimizer-structure", 0.48), ("missing-tensor", 0.46)),
        "yet|created|built|lazily",
        r"(?:does|do|did|was|were|is|are) not (?:exist|been|created|built)? ?yet|(?:created|built) (?:later|lazily"
        r"|at the first)|lazily|not yet (?:exist"
        r"|been|built|created)",
        "what was to be restored did not exist yet at that moment",
        "Build model and optimizer (one call, one step) before loading, and ask for `assert_consumed()`.",
        "The slots do not exist yet at load time and are simply not restored",
    ),
    told(
        "told-upgrade",
        (("version-mismatch", 0.66), ("format-mismatch", 0.46), ("custom-object", 0.42)),
        "upgrad|version|downgrad|updat|tensorflow|keras|torch|jax|transformers|tf",
        r"(?:after|since|when|by) (?:I |we )?(?:upgrad|updat|downgrad)\w*|\b(?:just|recently|have|has|was|been) "
        r"(?:upgraded|updated"
        r"|downgraded)\b|(?:upgraded|updated|downgraded|switched|moved) to (?:tensorflow|keras|tf|torch|pytorch|jax"
        r"|transformers)\b"
        r"|\b(?:works?|worked|fine|perfect\w*|loads?)\b.{0,40}?\b(?:tensorflow|keras|tf|torch|pytorch|jax"
        r"|transformers)\W{0,3}v?\.? ?\d"
        r"[\d.]*.{0,100}?\b(?:not|n't|fails?|no longer|unable|error|cannot|breaks?)\b|(?:newer|older|old|other|different|another"
        r"|new) version\b.{0,120}",
        "the file was written by another version of the library than reads it",
        "Install the version that wrote it (`holdfast FILE` names it where the file tells).",
        "Since upgrading Keras my saved model cannot be loaded",
    ),
    told(
        "told-new-object",
        (("other", 0.6), ("missing-tensor", 0.44), ("metrics", 0.42)),
        "load_from_checkpoint|classmethod|return value|returns a new",
        r"\bmodel\.load_from_checkpoint\(|classmethod|return value (?:is )?(?:ignored|discarded|not used)"
        r"|returns a new (?:object|model)",
        "the loader returns a new model, and the program goes on with the old one",
        "model = Model.load_from_checkpoint(path)",
        "model.load_from_checkpoint(path) leaves the model as it was",
    ),
)
