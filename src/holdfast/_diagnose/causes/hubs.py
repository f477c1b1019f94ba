"""``from_pretrained`` and downloads: transformers, diffusers, PEFT, tokenizers, the Hugging Face hub, other caches.

Messages: transformers/modeling_utils.py, utils/hub.py, diffusers/loaders, peft/utils/save_and_load.py, huggingface_hub.
"""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look, ranked
from ..where import loading_or_alone

_AGAIN = "Delete it from the cache and download it again; `holdfast FILE` says what is there and how much is missing."


def which_file(look: Look) -> list[Guess]:
    """Which file is not there: the config (another path), or the weights."""
    name = look.facts().get("name", "").lower()
    if (
        "tensorflow weights" in look.reading.lower
        or "from_tf=true" in look.reading.lower
        or "from_flax" in look.reading.lower
    ):
        why = "the folder holds another framework's weights than this class reads"
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.88,
                why=why,
                remedy="Pass `from_tf=True` (or from_flax), or convert it once.",
            ),
            look.entry.guess(look, confidence=0.5),
        ]
    if any(word in name for word in (".bin", ".safetensors", ".h5", ".index", ".msgpack")):
        return []  # the weights: another entry tells more
    return [
        look.entry.guess(look),
        look.entry.guess(look, "format-mismatch", confidence=0.45),
        look.entry.guess(look, "incomplete-save", confidence=0.42),
    ]


ENTRIES = (
    Entry(
        "hf-unreadable-weights",
        "corrupt",
        (
            "unable to load weights from pytorch checkpoint",
            "unable to load weights from the pytorch",
            "unable to load pytorch_model",
            "unable to load weights from pytorch",
        ),
        "",
        why="`torch.load` failed on the weights, for whatever cause: most often the file is half downloaded or an LFS pointer",
        remedy=_AGAIN + " The exception above this one in the traceback says more.",
        weigh=ranked(
            ("corrupt", 0.78), ("incomplete-save", 0.55), ("version-mismatch", 0.5), ("format-mismatch", 0.42)
        ),
        test="whole",
        example="OSError: Unable to load weights from pytorch checkpoint file for './m' at './m/pytorch_model.bin'.",
    ),
    Entry(
        "hf-not-a-model",
        "not-found",
        (
            "is not a local folder and is not a valid model identifier",
            "incorrect path_or_model_id",
            "repo id must be in the form",
            "repo id must use alphanumeric",
            "make sure you don't have a local directory with the same name",
            "hfvalidationerror",
            "couldn't find it in the cached files",
            "can't load the model for",
            "can't load config for",
            "can't load tokenizer for",
            "can't load the configuration of",
            "can't load feature extractor",
            "entrynotfounderror",
            "repositorynotfounderror",
            "404 client error",
            "localentrynotfounderror",
            "revisionnotfounderror",
            "can't load weights for",
            "is not the path to a directory containing a file",
            "can't load image processor",
            "model name '",
            "file was found in directory",
            "does not exist on the hub",
        ),
        r"is not a local folder and is not a valid model identifier|Incorrect path_or_model_id"
        r"|Repo id must (?:be in the form|use alphanumeric)"
        r"|make sure you don't have a local directory with the same name|HFValidationError|couldn't find it in the cached files"
        r"|Can't load (?:the model for|the configuration of|config for|tokenizer for|feature extractor"
        r"|image processor|weights for)"
        r"|(?:LocalEntry|Entry|Repository|Revision)NotFoundError|404 Client Error"
        r"|is not the path to a directory containing a file",
        why=(
            "the path or name leads to no model: a local folder is misspelt (and then taken for a name on "
            "the hub), or lacks its config"
        ),
        remedy=(
            "Check the folder (`ls`): config.json and the weights must lie in it itself, not in a "
            "sub-folder; give an absolute path."
        ),
        where=loading_or_alone,
        also=("incomplete-save", "format-mismatch", "storage"),
        weight=0.86,
        test="path",
        example=(
            "OSError: ./outputs/final is not a local folder and is not a valid model identifier listed on "
            "'https://huggingface.co/models'"
        ),
    ),
    Entry(
        "hf-no-such-file",
        "not-found",
        ("does not appear to have a file named", "no file named"),
        r"(?:does not appear to have a|no) file named (?P<name>[\w.\-]+)",
        why="the folder has no `{name}`: it is another folder (an adapter's, a sub-folder), or another library's",
        remedy=(
            "Give the folder that holds it; `holdfast FOLDER` says what is there. An adapter is loaded "
            "over its base model (PEFT)."
        ),
        weigh=which_file,
        weight=0.86,
        test="path",
        example="OSError: ./ckpt does not appear to have a file named config.json.",
    ),
    Entry(
        "download-checked",
        "corrupt",
        (
            "consistency check failed",
            "checksum",
            "mismatch",
            "incompleteread(",
            "digest",
            "corrupted",
            "corrupt checkpoint",
            "is corrupt",
            "hash",
            "sha",
            "md5",
        ),
        r"Consistency check failed|(?:sha-?\d*|md5|checksum|hash|digest)(?:sum)? ?(?:mismatch"
        r"|(?:checksum )?does not|validation failed|error)"
        r"|IncompleteRead\((?P<got>\d+) bytes read, (?P<want>\d+) more|file (?:is|has been) corrupted"
        r"|(?:corrupt checkpoint|checkpoint(?: file)? is corrupt)",
        why="what was downloaded or copied is not what its checksum (or size) says",
        remedy=_AGAIN,
        where=loading_or_alone,
        also=("incomplete-save",),
        weight=0.86,
        test="whole",
        example="RuntimeError: Model has been downloaded but the SHA256 checksum does not match. Please retry loading the model.",
    ),
    Entry(
        "tokenizer-file-version",
        "version-mismatch",
        (
            "untagged enum",
            "does not exist or is not currently imported",
            "tokenizer class",
            "unrecognized processing class",
            "unrecognized feature extractor",
        ),
        r"untagged enum \w+|(?:Tokenizer|Processor) class \w+ does not exist or is not currently "
        r"imported|Unrecognized (?:processing class|feature extractor)",
        why="the tokenizer's file is of a newer version of the library than reads it",
        remedy="Upgrade `transformers` and `tokenizers` to the versions that saved it.",
        also=("custom-object", "preprocessing", "corrupt"),
        weight=0.88,
        example="Exception: data did not match any variant of untagged enum ModelWrapper at line 9 column 3",
    ),
    Entry(
        "config-unknown-field",
        "version-mismatch",
        (
            "unexpected keyword argument '",
            "unknown config",
            "configattributeerror",
            "configkeyerror",
            "unrecognized configuration",
        ),
        r"(?P<name>\w*Config)(?:\.__init__)?\(\) got an unexpected keyword argument '(?P<key>\w+)'"
        r"|(?P<name2>ConfigAttributeError|ConfigKeyError): (?:Key|Missing key|str interpolation key) '?(?P<key2>\w+)'?",
        why="the saved config has `{key}`, which this version of the library's config class does not know (or lacks it)",
        remedy="Install the version that saved it; or remove the field from the config's file where it is of no effect.",
        also=("format-mismatch",),
        weight=0.87,
        where=loading_or_alone,
        example="TypeError: LoraConfig.__init__() got an unexpected keyword argument 'corda_config'",
    ),
    Entry(
        "hf-saved-arguments",
        "version-mismatch",
        ("object has no attribute '",),
        r"'(?P<name>\w*(?:TrainingArguments|Config|Tokenizer\w*|Scheduler\w*|Args))' object has no attribute '(?P<key>\w+)'",
        why="a pickled or saved `{name}` of another version lacks the attribute `{key}` that this version reads",
        remedy="Install the version that saved it, or make the object anew.",
        where=loading_or_alone,
        context=("load", "resume", "restore", "checkpoint", "pretrained", "__getattr__"),
        only_in=True,
        weight=0.7,
        also=("custom-object",),
        example="resume: AttributeError: 'TrainingArguments' object has no attribute 'fp16_full' load checkpoint",
    ),
    Entry(
        "diffusers-components",
        "format-mismatch",
        ("pipeline <class", "model_index.json", "from_single_file"),
        r"Pipeline <class '[\w.]+'> expected \{[^}]*\}, but only|from_single_file"
        r"|model_index\.json.{0,80}(?:not found|missing|no file)",
        why=(
            "the folder or file is not laid out as this pipeline wants: a single checkpoint file, another "
            "pipeline's folder, or parts are missing"
        ),
        remedy=(
            "`from_single_file` for a .safetensors or .ckpt, `from_pretrained` for a folder with "
            "model_index.json; save with the pipeline's own class."
        ),
        also=("version-mismatch", "incomplete-save", "missing-tensor"),
        weight=0.72,
        example="ValueError: Pipeline <class 'X'> expected {'vae', 'unet'}, but only {'vae'} were passed.",
    ),
    Entry(
        "peft-target-modules",
        "missing-tensor",
        ("target modules", "adapter is not for this", "not found in the base model"),
        r"Target modules .{1,300}? not found in the base model",
        why="the adapter names layers that the base model does not have: another base model, or other names",
        remedy="Load the base model that the adapter was trained on (its adapter_config.json names it).",
        weigh=ranked(
            ("missing-tensor", 0.62), ("renamed", 0.58), ("format-mismatch", 0.5), ("version-mismatch", 0.45)
        ),
        example=(
            "ValueError: Target modules {'q_proj'} not found in the base model. Please check the target "
            "modules and try again."
        ),
    ),
    Entry(
        "model-name-unknown",
        "version-mismatch",
        ("unknown model", "invalid pretrained tag", "is not in the", "unknown architecture"),
        r"Unknown model \((?P<name>[\w.]+)\)|Invalid pretrained tag|is not in the \w+ registry"
        r"|unknown (?:model )?architecture:? ?'?(?P<name2>[\w.]+)?",
        why="this version of the library (or of the code) has no model `{name}`",
        remedy="Install the version that saved, or import the module that registers it.",
        where=loading_or_alone,
        also=("custom-object", "not-found"),
        weight=0.7,
        example="RuntimeError: Unknown model (vit_new_patch16)",
    ),
)
