"""What people say in words when no error was printed: worse numbers, a run that starts anew, a rate that is another.

Only where the words stand alone: in a log of a run such words say nothing.
"""

from __future__ import annotations

from ...knowledge import Entry
from ...where import alone

ENTRIES = (
    Entry(
        "symptom-worse",
        "metrics",
        ("load", "restor", "sav", "checkpoint", "resum"),
        r"(?:accurac\w+|metrics?|predict\w*|results?|outputs?|performance|scores?|mAP|AP|BLEU"
        r"|PSNR)\b.{0,100}?(?:differ\w*|worse|drop\w*|lower|random|garbage|wrong|bad|zero|inconsistent"
        r"|not (?:the )?same|"
        r"chang\w+|decreas\w+|degrad\w+).{0,120}?(?:load\w*|restor\w*|reload\w*|sav\w+|checkpoint)"
        r"|(?:after|when|once) (?:re)?(?:load|restor|resum)\w*.{0,160}?(?:accurac\w+|metrics?"
        r"|predict\w*|results?|outputs?|"
        r"performance|scores?)\b.{0,80}?(?:differ\w*|worse|drop\w*|lower|random|garbage|wrong|bad|zero"
        r"|inconsistent|chang\w+|decreas\w+|degrad\w+)",
        why="the restored model does not do what it did when it was saved",
        remedy=(
            "`holdfast audit CKPT module:evaluate` restores, measures again, and tests the causes (eval "
            "mode, BatchNorm, EMA, preprocessing)."
        ),
        where=alone,
        also=("preprocessing", "missing-tensor", "resume-state"),
        weight=0.56,
        example="The predictions are random after I load the saved weights",
    ),
    Entry(
        "symptom-resume",
        "resume-state",
        ("resum", "continu", "restart", "restor", "reload", "checkpoint", "optimizer"),
        r"(?:resum\w+|continu\w*|restart\w*|restor\w+|reload\w*).{0,200}?(?:\b(?:loss(?:es)?|perplexity"
        r"|gradients?|wer|convergence|training)\b.{0,60}?\b(?:jump|spik|increas|goes up|went up|explod"
        r"|higher|large|nan|"
        r"diverg|worse|unstable|instab|never|begins|starts)|epoch (?:0|1)\b|step 0\b"
        r"|start\w* (?:training )?(?:from|at|over|again|fresh)|from (?:the )?(?:beginning|scratch"
        r"|start)|same (?:batch|data|order|samples)|repeat\w*|"
        r"shuffl\w*|warm-?up|seed|not (?:restored|continu\w+|resum\w+))|\b(?:loss(?:es)?|perplexity"
        r"|gradients?|training)\b.{0,80}?(?:jump|spik|increas|explod|higher|large|nan|diverg|unstable"
        r"|instab).{0,120}?(?:resum|reload|"
        r"restart|restor|checkpoint)|optimizer'?s? states?.{0,80}?(?:not (?:saved|restored|loaded|kept)"
        r"|eras|lost|reset|discard|ignored|fresh)|(?:eras|los|reset|discard"
        r"|ignor)\w+ .{0,40}?optimizer'?s? state",
        why="a part of the training's state did not come back: step, data position, random state, scheduler or optimizer",
        remedy="Save and restore the whole state (`holdfast.Vault` does); `holdfast drill SCRIPT` finds which part is missing.",
        where=alone,
        also=("optimizer-hyperparameters", "optimizer-structure", "metrics"),
        weight=0.66,
        example="When I resume training the loss jumps up to where it was at the beginning",
    ),
    Entry(
        "symptom-rate",
        "optimizer-hyperparameters",
        ("rate", "lr", "decay", "betas", "momentum", "schedul"),
        r"(?:learning.rate|\blr\b|weight.decay|betas|momentum|schedul\w+).{0,120}?(?:reset|overwrit\w+"
        r"|restored|changed|jump\w*|ignored|wrong|not (?:updated|changed|restored|saved|the same)"
        r"|different|back to|old|initial)"
        r".{0,160}?(?:load|resum|restor|checkpoint)|(?:load|resum|restor)\w*.{0,160}?(?:learning.rate"
        r"|\blr\b|weight.decay|schedul\w+).{0,100}?(?:reset|overwrit\w+|restored|changed|jump\w*"
        r"|ignored|wrong|not|different|back|old|initial)",
        why=(
            "a hyperparameter of the optimizer is not what it should be after the restore: the saved one "
            "overwrites the new one, or it starts anew"
        ),
        remedy="Set it after loading (`for g in opt.param_groups: g['lr'] = ...`), and restore the scheduler with it.",
        where=alone,
        also=("resume-state",),
        weight=0.62,
        example="The learning rate is reset to its initial value when I resume from a checkpoint",
    ),
    Entry(
        "symptom-gone",
        "retention",
        ("checkpoint", "ckpt", "best", "weight"),
        r"(?:checkpoints?|ckpt|best(?: model)?|weights?)\b.{0,100}?(?:overwritten|deleted|removed"
        r"|disappear\w*|gone|lost|replaced)|(?:overwrit\w+|delet\w+|remov\w+).{0,60}?(?:checkpoints?"
        r"|best model|ckpt)",
        why="a checkpoint was deleted or overwritten while it was still needed",
        remedy="Keep more of them, pin the one that is needed (`vault.pin`), and give each run a folder of its own.",
        where=alone,
        also=("concurrency", "metrics"),
        weight=0.54,
        example="My best model was overwritten by a later checkpoint",
    ),
    Entry(
        "symptom-two-numbers",
        "metrics",
        ("load", "restor", "resum"),
        r"(?:acc\w*|valid\w*|loss|psnr|ssim|map|dice|iou|f1|bleu|rewards?|scores?|wer|auc|perplexity|performance"
        r"|results?)\b.{0,160}?"
        r"(?:\d[\d.]* ?(?:%|db)|\b0?\.\d+).{0,240}?\b(?:re)?(?:load|restor|resum)\w*.{0,240}?(?:\d[\d.]* ?(?:%|db)|\b0?\.\d+)"
        r"|\b(?:re)?(?:load|restor|resum)\w*.{0,240}?(?:\d[\d.]* ?(?:%|db)|\b0?\.\d+).{0,240}?\b(?:but"
        r"|only|drops?|instead|while|whereas|however|then)\b"
        r".{0,80}?(?:\d[\d.]* ?(?:%|db)|\b0?\.\d+)"
        r"|(?:snapshot|sav)\w*.{0,60}?\d[\d.]* ?%.{0,120}?(?:load|restor|resum)\w*.{0,80}?\d[\d.]* ?%",
        why="two numbers are told for one model, before it was saved and after it was loaded",
        remedy=(
            "`holdfast audit CKPT module:evaluate` restores, measures again, and tests the causes (eval mode, BatchNorm "
            "statistics, EMA weights, preprocessing)."
        ),
        where=alone,
        also=("resume-state", "preprocessing", "missing-tensor"),
        weight=0.55,
        example="The accuracy was 91.2 % in training, and after I load the checkpoint it is 12.5 %",
    ),
)
