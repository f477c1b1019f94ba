"""The entries of a training checkpoint: a state dict within a dict, and what trainers read of it."""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone


def _lenient(look: Look) -> list[Guess]:
    """A load that was allowed to leave something out."""
    facts = look.facts()
    missing = [w.strip(" '\"") for w in facts.get("missing", "").split(",") if w.strip()]
    unexpected = [w.strip(" '\"") for w in facts.get("unexpected", "").split(",") if w.strip()]
    if facts.get("kind") == "unexpected":
        return [
            look.entry.guess(look, "unexpected-tensor"),
            look.entry.guess(look, "renamed", confidence=0.45),
        ]
    if missing and unexpected:
        ends = {name.rpartition(".")[2] for name in missing} & {
            name.rpartition(".")[2] for name in unexpected
        }
        return [
            look.entry.guess(look, "renamed", confidence=0.78 if ends else 0.5),
            look.entry.guess(look),
            look.entry.guess(look, "unexpected-tensor", confidence=0.5),
        ]
    if unexpected:
        return [
            look.entry.guess(look, "unexpected-tensor"),
            look.entry.guess(look, "renamed", confidence=0.4),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "renamed", confidence=0.45)]


def _counted(look: Look) -> list[Guess]:
    """Counts of names that one side lacks."""
    facts = look.facts()
    missing, unexpected = int(facts.get("missing") or 0), int(facts.get("unexpected") or 0)
    if "missing" not in facts:
        return [look.entry.guess(look), look.entry.guess(look, "renamed", confidence=0.45)]
    if missing and unexpected:
        return [
            look.entry.guess(look),
            look.entry.guess(look, "renamed", confidence=0.66),
            look.entry.guess(look, "unexpected-tensor", confidence=0.6),
        ]
    if missing:
        return [look.entry.guess(look), look.entry.guess(look, "renamed", confidence=0.4)]
    if unexpected:
        why = f"the file holds {unexpected} tensors that the model lacks; they are not used"
        return [
            look.entry.guess(look, "unexpected-tensor", why=why),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ]
    return []


ENTRIES = (
    Entry(
        "state-dict-key-error",
        "format-mismatch",
        (
            "keyerror: 'state_dict'",
            "keyerror: 'model'",
            "keyerror: 'model_state_dict'",
            "keyerror: 'net'",
            "keyerror: 'optimizer",
            "keyerror: 'epoch'",
            "keyerror: 'pytorch-lightning_version'",
            "keyerror: 'module'",
        ),
        r"KeyError: '(?P<entry>state_dict|model|model_state_dict|net|optimizer\w*|epoch|pytorch-lightning_version"
        r"|module)'",
        why=(
            "the file has no entry `{entry}`: it is a bare state dict, another tool's checkpoint, or one part of a "
            "sharded one"
        ),
        remedy=(
            "Look what is in it (`holdfast inspect CKPT`), and load it with the tool that wrote it; a DeepSpeed or "
            "FSDP folder is gathered first (`zero_to_fp32.py`)."
        ),
        types=("KeyError",),
        also=("missing-tensor", "renamed"),
        weight=0.82,
        test="entries",
        example="    keys = obj.load_state_dict(checkpoint[\"state_dict\"], strict=strict)\nKeyError: 'state_dict'",
    ),
    Entry(
        "load-state-dict-attribute",
        "format-mismatch",
        (
            "has no attribute 'state_dict'",
            "has no attribute 'copy'",
            "has no attribute 'keys'",
            "has no attribute 'load_state_dict'",
            "expected state_dict to be dict-like",
            "has no attribute 'items'",
            "object has no attribute",
        ),
        r"'(?P<kind>\w+)' object has no attribute '(?:copy|keys|items|load_state_dict)'"
        r"|Expected state_dict to be dict-like, got <class '(?P<got>[\w.]+)'|'(?:dict|OrderedDict"
        r"|collections\.OrderedDict)' object has no attribute '(?P<call>eval|to|cuda|parameters|load_state_dict"
        r"|state_dict|forward|train)'",
        why="a whole model was saved where a state dict is wanted, or the other way round",
        remedy="`model.load_state_dict(sd)` wants a dict of tensors; a saved module is `torch.load(...)` itself.",
        calls=("load_state_dict", "load"),
        context=("state_dict", "torch.load"),
        only_in=True,
        weight=0.86,
        test="names",
        example=(
            "    model.load_state_dict(torch.load('m.pt'))\nTypeError: Expected state_dict to be dict-like, got "
            "<class 'net.Net'>."
        ),
    ),
    Entry(
        "trainer-key-error",
        "version-mismatch",
        (
            "keyerror: 'global_step'",
            "keyerror: 'loops'",
            "keyerror: 'callbacks'",
            "keyerror: 'lr_schedulers'",
            "keyerror: 'optimizer_states'",
            "keyerror: 'hyper_parameters'",
            "keyerror: 'step'",
            "keyerror: 'hparams'",
            "keyerror: 'native_amp_scaling_state'",
            "keyerror: 'state_dict_version'",
            "keyerror: 'config'",
            "keyerror: 'args'",
        ),
        r"KeyError: '(?P<entry>global_step|loops|callbacks|lr_schedulers|optimizer_states|hyper_parameters|hparams"
        r"|step|native_amp_scaling_state|state_dict_version|config|args)'",
        why=(
            "the checkpoint has no `{entry}`, which this version's loader reads: another version (or another tool) "
            "wrote it"
        ),
        remedy=(
            "Load with the version that saved, or migrate the file (Lightning: `python -m "
            "lightning.pytorch.utilities.upgrade_checkpoint FILE`); for weights alone take `state_dict`."
        ),
        types=("KeyError",),
        calls=(
            "load_state",
            "load_from_checkpoint",
            "restore",
            "migrate_checkpoint",
            "load_checkpoint",
            "resume",
        ),
        context=("checkpoint[", "load_state", "restore", "torch.load", "override_attributes"),
        only_in=True,
        also=("format-mismatch", "resume-state"),
        weight=0.76,
        test="entries",
        example="    global_step = checkpoint[\"global_step\"]\nKeyError: 'global_step'",
    ),
    Entry(
        "weights-loop-key",
        "unexpected-tensor",
        ("keyerror: '",),
        (
            r"KeyError: '(?P<key>[A-Za-z_][\w]*(?:\.[\w]+)*\.(?:weight|bias|weight_scale|scales|qweight|running_mean"
            r"|inv_freq))'"
        ),
        why=(
            "the loader goes over the file's tensors, and the model has no `{key}` (a tied or renamed weight, "
            "another class)"
        ),
        remedy="Leave it out where it is tied (`tie_word_embeddings`), or load the class that was saved.",
        calls=("load_weights", "load_state_dict", "load", "from_pretrained", "_load_pretrained_model"),
        context=("params_dict", "state_dict", "load_weights"),
        only_in=True,
        also=("missing-tensor", "renamed", "version-mismatch"),
        weight=0.72,
        test="names",
        example=(
            '  File "models/llama.py", line 1, in load_weights\n    param = params_dict[name]\nKeyError: '
            "'lm_head.weight'"
        ),
    ),
    Entry(
        "adapter-left-over",
        "unexpected-tensor",
        ("should be empty at this point",),
        r"`?(?P<what>\w*state_dict)`? should be empty at this point",
        why=(
            "the converter of the adapter does not know some of its tensors: another kind of adapter (LoKr, DoRA, "
            "another trainer's names)"
        ),
        remedy="Convert it with the tool that trained it; `holdfast inspect FILE` lists the names.",
        also=("format-mismatch", "renamed", "version-mismatch"),
        weight=0.85,
        test="names",
        example=(
            "ValueError: `original_state_dict` should be empty at this point but has "
            "original_state_dict.keys()=dict_keys(['a.lokr_w1'])"
        ),
    ),
    Entry(
        "incompatible-keys",
        "missing-tensor",
        (
            "missing_keys=",
            "there were missing keys in the checkpoint",
            "there were unexpected keys in the checkpoint",
        ),
        r"missing_keys=\[(?P<missing>[^\]]*)\](?:, unexpected_keys=\[(?P<unexpected>[^\]]*)\])?"
        r"|There were (?P<kind>missing"
        r"|unexpected) keys in the checkpoint(?: model)? loaded: \[(?P<names>[^\]]*)\]",
        why="a lenient load left tensors of the model at their initial value, or tensors of the file unused",
        remedy=(
            "Look at both lists: names that differ by a prefix are the same tensors. Tied weights (`lm_head.weight`) "
            "are harmless."
        ),
        weigh=_lenient,
        weight=0.75,
        test="names",
        example="_IncompatibleKeys(missing_keys=['fc.weight'], unexpected_keys=[])",
    ),
    Entry(
        "lightning-init-arguments",
        "other",
        (
            "required positional argument",
            "does not contain hyperparameters",
            "required keyword-only argument",
        ),
        r"__init__\(\) missing (?P<count>\d+) required (?:positional|keyword-only) arguments?: (?P<names>.{1,120})"
        r"|does not contain hyperparameters",
        why="the class is made anew from the hyperparameters in the checkpoint, and {names} are not among them",
        remedy="Pass them: `load_from_checkpoint(path, name=...)`, and call `self.save_hyperparameters()` in `__init__`.",
        calls=("load_from_checkpoint", "_load_state", "_load_model_state"),
        context=(
            "load_from_checkpoint",
            "_cls_kwargs",
            "_load_model_state",
            "does not contain hyperparameters",
        ),
        only_in=True,
        weigh=ranked(
            ("other", 0.8), ("version-mismatch", 0.5), ("unserialisable", 0.46), ("custom-object", 0.36)
        ),
        example=(
            '  File "lightning/pytorch/core/saving.py", line 1, in load_from_checkpoint\nTypeError: __init__() '
            "missing 1 required positional argument: 'model'"
        ),
    ),
    Entry(
        "no-training-state",
        "resume-state",
        (
            "keyerror: 'sched",
            "keyerror: 'lr_sched",
            "keyerror: 'scaler",
            "keyerror: 'amp",
            "keyerror: 'rng",
            "keyerror: 'ema",
        ),
        r"KeyError: '(?P<entry>(?:lr_)?sched\w*|scaler\w*|amp\w*|rng\w*|ema\w*)'",
        why=(
            "the checkpoint has no entry `{entry}`: it holds weights only (or that part lies in another "
            "file), so training cannot go on from it"
        ),
        remedy=(
            "Take the checkpoint that holds the whole training state; to begin anew from these weights, "
            "load the weights alone."
        ),
        types=("KeyError",),
        where=loading_or_alone,
        also=("format-mismatch", "missing-tensor", "optimizer-structure"),
        weight=0.82,
        test="entries",
        example="    optimizer.load_state_dict(checkpoint['scaler'])\nKeyError: 'scaler'",
    ),
    Entry(
        "counted-keys",
        "missing-tensor",
        ("missing", "missing_keys", "unexpected_keys"),
        r"with (?P<missing>\d+) missing and (?P<unexpected>\d+) unexpected keys"
        r"|missing[_ ]keys?:? *(?P<missing2>\d+)\b.{0,40}?unexpected[_ ]keys?:? *(?P<unexpected2>\d+)\b"
        r"|(?:^|[;\n] *)missing keys?: (?P<name>\w+(?:\.\w+)+)",
        why="the model wants tensors that the file does not hold under these names; they stay at their initial values",
        remedy=(
            "Expected where a part is loaded elsewhere; else `holdfast check CKPT module:factory` names "
            "what is missing and what may be renamed."
        ),
        weigh=_counted,
        weight=0.76,
        test="names",
        example="Restored from model.ckpt with 12 missing and 0 unexpected keys",
    ),
)
