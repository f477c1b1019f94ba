"""PyTorch: toolkits that keep more in a checkpoint than tensors: settings, agents, pickled tasks.

Each wording is of one mechanism: what the toolkit's own code of that version put into the file (``args`` and later ``cfg`` in
fairseq, a zip of records in Stable-Baselines3, hyper-parameters in Lightning), and another version looks for it elsewhere.
"""

from __future__ import annotations

from ...knowledge import Entry, beside, ranked
from ...where import loading_or_alone

_SETTINGS = (
    r"task|bpe|arch|criterion|conv_feature_layers|extractor_mode|w2v_path|encoder_layers|decoder_layers|encoder_embed_dim"
    r"|decoder_embed_dim|max_source_positions|share_all_embeddings|label_smoothing|left_pad_source|source_lang|target_lang"
    r"|hparams|hyper_parameters|num_speakers|model_type|max_positions|tokenizer_type|latent_dim"
)

ENTRIES = (
    Entry(
        "settings-kept-elsewhere",
        "version-mismatch",
        ("nonetype' object has no attribute '",),
        rf"'NoneType' object has no attribute '(?P<name>{_SETTINGS})'",
        why=(
            "the settings that were saved with the model (`{name}`) are not where this version of the toolkit looks: fairseq "
            "kept `args` up to 0.10 and keeps `cfg` since, and the other of the two is None"
        ),
        remedy="Load with the version that saved; `holdfast inspect CKPT` shows which of `args` and `cfg` the file has.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.74), ("format-mismatch", 0.5), ("custom-object", 0.36)),
        test="entries",
        example=(
            "    model = checkpoint_utils.load_model_ensemble([path])\n"
            "AttributeError: 'NoneType' object has no attribute 'left_pad_source'"
        ),
    ),
    Entry(
        "agent-archive-of-another-kind",
        "format-mismatch",
        ("not a zip file", "not in a subdirectory", "policy_class", "not a valid zip"),
        r"(?:_load_from_file|stable_baselines|rl_zoo|ALGOS\[).{0,400}?(?:is not a zip file|not a valid zip)"
        r"|file in archive is not in a subdirectory",
        why=(
            "the archive is not one that this call reads: an agent's file holds records (`data`, `policy.pth`) that "
            "`Algorithm.load` puts together, `torch.load` and `Policy.load` want an archive of torch.save, and the first "
            "Stable-Baselines wrote plain pickles"
        ),
        remedy="Load it with the class that saved (`PPO.load`, not the policy); `holdfast FILE` says what it is.",
        weigh=ranked(("format-mismatch", 0.86), ("version-mismatch", 0.66), ("corrupt", 0.56)),
        test="whole",
        example="RuntimeError: [enforce fail at reader.cc:9] . file in archive is not in a subdirectory: data",
    ),
    Entry(
        "agent-entry-of-other-version",
        "version-mismatch",
        ("keyerror: ",),
        r"KeyError: '(?P<key>policy_class|policy_kwargs|_last_obs|lr_schedule|clip_range|observation_space|action_space)'",
        why="the agent's file has no `{key}`: another version (Stable-Baselines 2 for 3, an older 3) or another class wrote it",
        remedy="Load with the version that saved; pass what is lacking as `custom_objects`.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.84), ("format-mismatch", 0.7), ("custom-object", 0.4)),
        test="entries",
        example="    policy=data[\"policy_kwargs\"],\nKeyError: 'policy_kwargs'",
    ),
    Entry(
        "recoverable-without-a-file",
        "missing-tensor",
        ("paramfiles[", "missing a load path for"),
        r"paramfiles\[\w+\].{0,80}?KeyError: '(?P<key>\w+)'|missing a load path for (?P<key2>\w+)",
        why="the checkpoint's folder has no file for `{key}`, which the run registers to be recovered: another version or "
        "recipe saved it, or it was added since",
        remedy="Register what was saved (or `allow_partial_load`); the files of the folder are named after their objects.",
        weigh=ranked(("missing-tensor", 0.74), ("version-mismatch", 0.6), ("optimizer-structure", 0.52)),
        test="entries",
        example="    loadpath = checkpoint.paramfiles[name]\nKeyError: 'scheduler_b'",
    ),
    Entry(
        "checkpoint-of-another-generation",
        "version-mismatch",
        ("is not forward", "is not backward", "originally trained with"),
        r"This (?:model|checkpoint|file) is NOT (?:forwards?|backwards?) compatible|appears to be an? .{3,60}? model originally "
        r"trained with",
        why="the file was written by another generation of the toolkit, whose classes it pickles",
        remedy="Use the package and the version that trained it; or train or export again with this one.",
        weigh=ranked(("version-mismatch", 0.84), ("format-mismatch", 0.78), ("custom-object", 0.5)),
        test="pickle",
        example="best.pt appears to be an Acme v4 model originally trained with acme. This model is NOT forwards compatible",
    ),
    Entry(
        "loading-node-failed",
        "format-mismatch",
        ("executing checkpointloader", "executing unetloader", "executing loraloader", "executing vaeloader"),
        r"executing (?:Checkpoint|UNET|Lora|VAE)Loader\w*",
        why="the node that loads the file failed: the file is of another kind or base model than it reads, or it is too old",
        remedy="`holdfast FILE` says what it is; use the loader for that kind, and bring the program up to date.",
        weigh=ranked(("format-mismatch", 0.52), ("version-mismatch", 0.5), ("corrupt", 0.48)),
        test="whole",
        example="Error occurred when executing CheckpointLoader: 'embed'",
    ),
    Entry(
        "settings-lack-a-name",
        "version-mismatch",
        ("namespace' object has no attribute '",),
        r"'(?:argparse\.)?(?:Simple)?Namespace' object has no attribute '(?P<name>\w+)'",
        why="the settings that were saved with the model have no `{name}`, which this version of the code reads",
        remedy="Use the version of the code that saved; or set the default after loading: `args.{name} = ...`.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.62), ("format-mismatch", 0.42), ("resume-state", 0.34)),
        test="entries",
        example="    args = torch.load(path)['args']\nAttributeError: 'Namespace' object has no attribute 'rope_base'",
    ),
    Entry(
        "name-of-a-library-within",
        "version-mismatch",
        (
            "module 'pytorch_lightning.",
            "module 'lightning.",
            "module 'lightning_fabric.",
            "module 'torchmetrics.",
        ),
        r"module '(?P<module>(?:pytorch_lightning|lightning|lightning_fabric|torchmetrics)\.[\w.]+)' has no attribute "
        r"'(?P<name>\w+)'",
        why="`{module}` has no `{name}` in the version installed here, and the checkpoint pickles it by that name",
        remedy="Install the version that saved, load there, and keep the `state_dict` alone.",
        weigh=ranked(("version-mismatch", 0.84), ("custom-object", 0.56), ("unsafe-pickle", 0.3)),
        test="pickle",
        example="AttributeError: module 'pytorch_lightning.utilities.enums' has no attribute '_OldMode'",
    ),
    Entry(
        "settings-came-back-as-a-dict",
        "version-mismatch",
        ("'dict' object has no attribute '",),
        r"(?:load_from_checkpoint|_load_model_state|cls_kwargs).{0,400}?'dict' object has no attribute '(?P<name>\w+)'",
        why="the hyper-parameters come back as a dict, and the class reads them as attributes (`{name}`): Lightning changed that",
        remedy="Install the version of Lightning that saved; or wrap them: `argparse.Namespace(**hparams)`.",
        weigh=ranked(("version-mismatch", 0.78), ("format-mismatch", 0.62), ("custom-object", 0.4)),
        test="entries",
        example=(
            "    model = cls(*cls_args, **cls_kwargs)\n    width=hparams.width\nAttributeError: 'dict' object has no "
            "attribute 'width'"
        ),
    ),
    Entry(
        "model-not-built-yet",
        "lazy-build",
        ("'nonetype' object has no attribute '",),
        r"(?:\.(?:load_)?state_dict\(|load_\w*weights).{0,200}?"
        r"'NoneType' object has no attribute '(?:load_)?state_dict'",
        why="the model (or the optimizer) is None where its state is wanted: it is built later, after the load, or not at all",
        remedy="Build it first (`setup`, `initialize`, one batch), then load; or the file's entry is None: `holdfast inspect`.",
        where=loading_or_alone,
        weigh=ranked(("lazy-build", 0.72), ("format-mismatch", 0.5), ("version-mismatch", 0.44)),
        test="entries",
        example="    self.net.load_state_dict(weights)\nAttributeError: 'NoneType' object has no attribute 'load_state_dict'",
    ),
    Entry(
        "tensor-copied-by-hand",
        "shape-mismatch",
        (".copy_(",),
        r"(?:own_state\[[^\]]+\]|param|\.data|p)\.copy_\(.{0,300}?(?:sizes do not match|must match the size|size mismatch"
        r"|inconsistent tensor size|output with shape)",
        why="a tensor of the file is copied over one of the model that has another shape",
        remedy="Build the model with the sizes that were saved (classes, channels, modality), or leave that layer out.",
        weigh=ranked(("shape-mismatch", 0.84), ("version-mismatch", 0.42), ("preprocessing", 0.3)),
        test="names",
        example="    own_state[name].copy_(param)\nRuntimeError: invalid argument 2: sizes do not match at Copy.cu:31",
    ),
    Entry(
        "device-of-another-build",
        "device-mismatch",
        ("torch._c", "map_location(storage", "'current_device'"),
        r"module 'torch\._C' has no attribute '_(?:cuda|xpu|mps|npu|hpu)_?\w*'"
        r"|module 'torch\.(?:mps|xpu|npu|hpu|mlu)' has no attribute 'current_device'"
        r"|map_location\(storage, location\).{0,300}?'(?:list|tuple|int|NoneType)' object is not callable",
        why=(
            "the tensors were saved on a device that this PyTorch or this call cannot map to (a build without CUDA, a "
            "list as `map_location`)"
        ),
        remedy="`torch.load(path, map_location='cpu')`: a string, a device, a dict or a function; then move the model.",
        weigh=ranked(("device-mismatch", 0.86), ("version-mismatch", 0.5), ("format-mismatch", 0.3)),
        where=loading_or_alone,
        example="AttributeError: module 'torch._C' has no attribute '_cuda_setDevice'",
    ),
    Entry(
        "agent-parameters-of-another",
        "missing-tensor",
        ("exact match of `params` requested", "names of parameters "),
        r"Exact match of `params` requested but got keys|Names of parameters (?:or state-dicts )?do not match",
        why=(
            "the agent's file has other parts (policy, critic, optimizers) than this algorithm: another one, or version, "
            "saved it"
        ),
        remedy="Load it with the algorithm that saved; `set_parameters(..., exact_match=False)` takes what is there.",
        weigh=ranked(
            ("missing-tensor", 0.84),
            ("unexpected-tensor", 0.6),
            ("optimizer-structure", 0.58),
            ("format-mismatch", 0.5),
        ),
        test="entries",
        example="ValueError: Exact match of `params` requested but got keys: expected {'policy'} , got {'policy', 'critic'}",
    ),
    Entry(
        "agent-of-other-spaces",
        "shape-mismatch",
        ("observation spaces do", "action spaces do", "number of envs to be loaded"),
        r"(?:Observation|Action) spaces do not match|number of envs to be loaded",
        why="the environment that is given has other spaces (or another number of copies) than the one the agent was trained in",
        remedy="Make the environment as in training, wrappers included; without `env=` the agent loads with its own spaces.",
        weigh=ranked(("shape-mismatch", 0.86), ("preprocessing", 0.5), ("topology", 0.48)),
        example="ValueError: Observation spaces do not match: Box(24,) != Box(25,)",
    ),
    Entry(
        "agent-file-is-no-zip",
        "format-mismatch",
        ("wasn't a zip-file", "loading from a file with old format"),
        "",
        why="the agent's file is no zip of Stable-Baselines3: the first Stable-Baselines wrote pickles, or it is damaged",
        remedy="Load it with the library that saved (`holdfast FILE` says what it is), and save it again there.",
        weigh=ranked(("format-mismatch", 0.86), ("version-mismatch", 0.66), ("corrupt", 0.58)),
        test="whole",
        example="ValueError: Error: the file model.zip wasn't a zip-file",
    ),
    Entry(
        "toolkit-wants-its-classes",
        "custom-object",
        ("is not in ultralytics requirements", "registry'", " registry"),
        r"appears to require '(?P<what>[\w.]+)', which is not in Ultralytics requirements"
        r"|(?P<what2>\w+) is not in the (?:[\w\-]+::)?(?:models?|backbones?|necks?|(?:roi_)?heads?|detectors?|segmentors?|losses"
        r"|loss|optimizers?|optimizer wrapper[\w ]*) registry",
        why="the file or its config names `{what}`, which was not registered or imported before the load",
        remedy=(
            "Import the module that registers `{what}` first (`custom_imports` in a config); do not let it be installed by "
            "name."
        ),
        weigh=ranked(("custom-object", 0.86), ("version-mismatch", 0.8), ("not-found", 0.3)),
        test="pickle",
        example="KeyError: 'FooHead is not in the models registry'",
    ),
    Entry(
        "toolkit-name-without-weights",
        "not-found",
        (
            "no pretrained weights exist",
            "open-mmlab://",
            "invalid pretrained tag",
            "dictionary not found",
            "no file with name: ",
        ),
        r"No pretrained weights exist for|open-mmlab://\S+ is not|Invalid pretrained tag"
        r"|Dictionary not found: (?P<path>\S*dict[\w.\-]*\.txt)"
        r"|No file with name: (?P<path2>\S+) found in",
        why="there are no weights (or no dictionary) under that name, in this version of the toolkit or at that place",
        remedy="`timm.list_pretrained('name*')` and the like say what there is; a path of your own goes by the load call.",
        weigh=beside(
            r"pretrained|mmlab|dict",
            ("not-found", 0.84),
            ("version-mismatch", 0.56),
            ("missing-tensor", 0.5),
            ("preprocessing", 0.4),
        ),
        example="RuntimeError: No pretrained weights exist for resnet51. Use `pretrained=False`.",
    ),
    Entry(
        "no-part-of-that-prefix",
        "missing-tensor",
        ("is not in the pretrained model",),
        r"(?P<prefix>[\w.]+\.) is not in the pretrained model",
        why="no tensor of the file begins with `{prefix}`, the part that the config wants of it",
        remedy="`holdfast inspect FILE` shows the names; set `prefix` in `init_cfg` to what they begin with, or leave it out.",
        weigh=ranked(("missing-tensor", 0.84), ("renamed", 0.72), ("format-mismatch", 0.6)),
        test="names",
        example="AssertionError: backbone. is not in the pretrained model",
    ),
    Entry(
        "loader-keeps-no-place",
        "resume-state",
        ("find a save_state for the train_iterator",),
        "",
        why="the data iterator has no state to save, so that a resumed run would read its data from the beginning",
        remedy="Use a loader that keeps its place (`torchdata`'s StatefulDataLoader, Energon), or count samples and skip them.",
        weigh=ranked(("resume-state", 0.84), ("unserialisable", 0.6)),
        example="RuntimeError: Could not find a save_state for the train_iterator of type <class 'iterator'>",
    ),
)
