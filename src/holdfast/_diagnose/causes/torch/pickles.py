"""What unpickling refuses or cannot find."""

from __future__ import annotations

import re

from ...first_bytes import AGAIN, FIRST_BYTES
from ...knowledge import Entry, Guess, Look, loading_where

_LOAD = (
    "load",
    "_load",
    "_legacy_load",
    "torch_load",
    "load_checkpoint",
    "from_pretrained",
    "load_from_checkpoint",
    "load_file",
)

_LOADS = (
    "load",
    "_load",
    "torch_load",
    "find_class",
    "loads",
    "restore",
    "from_pretrained",
    "load_model",
    "unpickle",
    "_legacy_load",
    "load_checkpoint",
    "load_from_checkpoint",
)

_LIBRARIES = frozenset(
    {
        "torch", "tensorflow", "keras", "jax", "flax", "transformers", "lightning", "pytorch_lightning", "torchvision",
        "sklearn", "timm", "diffusers", "peft", "omegaconf", "pandas", "scipy", "jaxlib", "optax", "orbax", "tf_keras",
        "fairseq", "deepspeed", "megatron", "apex", "numpy", "ultralytics", "mmcv", "mmengine", "mmdet", "detectron2",
        "stable_baselines3", "gym", "gymnasium", "monai", "fastai", "speechbrain", "espnet", "espnet2", "torchtext", "dgl",
        "torch_geometric", "pytorch_forecasting", "neuralforecast", "segmentation_models_pytorch", "spacy", "flair",
        "torchaudio", "torchmetrics", "accelerate", "nemo", "ray", "cloudpickle", "pathlib", "gluonts", "builtins", "types",
        "collections", "copyreg", "typing", "functools", "enum", "_io", "datetime", "random", "argparse", "dataclasses",
    }
)  # fmt: skip
_REPOSITORIES = ("models.common", "models.yolo", "models.experimental")
"""Modules of a repository (YOLOv5's family) whose files name classes that only some of its releases have."""


def weights_only(look: Look) -> list[Guess]:
    """Either a class outside the allow-list, or bytes that are no pickle: the message blames weights_only for both."""
    flat = look.reading.flat
    operand = re.search(r"Unsupported operand (\d+)", flat)
    if operand is not None and 0x88 <= int(operand[1]) <= 0x98:
        why = (
            "the file is a pickle of protocol 4 or 5, whose instructions weights_only does not know: another program (or "
            "`pickle_protocol=4`) wrote it"
        )
        return [
            look.entry.guess(look, why=why, confidence=0.86),
            look.entry.guess(look, "format-mismatch", why=why, confidence=0.62),
            look.entry.guess(look, "version-mismatch", why=why, confidence=0.5),
        ]
    if operand is not None and (byte := int(operand[1])) < 256:
        label, why, remedy = FIRST_BYTES.get(
            chr(byte),
            (
                "corrupt",
                f"the bytes are no pickle of torch.save (0x{byte:02x} stands where an instruction should)",
                AGAIN,
            ),
        )
        told = f"{why}; weights_only has nothing to do with it"
        return [
            look.entry.guess(look, label, why=told, remedy=remedy, confidence=0.9, test="whole"),
            look.entry.guess(
                look, "format-mismatch" if label == "corrupt" else "corrupt", confidence=0.4, test="whole"
            ),
        ]
    inner = re.search(r"WeightsUnpickler error: ((?:CUDA|HIP|MPS|NCCL|No CUDA)\b[^;\n]{0,80})", flat)
    if inner is not None:
        why = f"the device failed while the tensors were put on it ({inner[1].strip()}); weights_only has nothing to do with it"
        remedy = "`torch.load(path, map_location='cpu')`; `nvidia-smi` shows who holds the device."
        return [look.entry.guess(look, "device-mismatch", why=why, remedy=remedy, confidence=0.92)]
    named = re.search(
        r"GLOBAL ([\w.]+) was not an allowed global|Unsupported (?:global|class)[: ]+(?:GLOBAL )?([\w.]+)",
        flat,
    )
    what = next((group for group in named.groups() if group), "") if named is not None else ""
    if not what:
        return [look.entry.guess(look)]
    if _runs_code(what):
        why = f"the file names `{what}`, which can run commands or reach other code: weights need none of it, an attack does"
        remedy = (
            "Allow it only if you saved the file yourself (and save a state dict from now on); else do not load it in any way. "
            "`holdfast FILE` lists what it names, without running it; get the weights elsewhere, as safetensors."
        )
        return [look.entry.guess(look, facts={"what": what}, why=why, remedy=remedy)]
    remedy = (
        f"Where you trust the file, `torch.serialization.add_safe_globals([{what}])` before the load "
        f"({plain_in_place_of(what)}). weights_only=False runs whatever the file says."
    )
    return [look.entry.guess(look, facts={"what": what}, remedy=remedy)]


def _runs_code(name: str) -> bool:
    """Whether a global is of the kind that attackers name."""
    from ...._formats.pickles.globals import dangerous  # only where a message names one

    module, _, last = name.rpartition(".")
    return dangerous(module or "builtins", last)


def plain_in_place_of(name: str) -> str:
    """What to save so that every release loads it."""
    plain = {"argparse.Namespace": "`vars(args)`", "omegaconf": "`OmegaConf.to_container(config)`"}
    if name.startswith("numpy"):
        value = "`float(x)` for a number, `torch.from_numpy(x)` for an array"
    else:
        value = plain.get(name, plain.get(name.split(".")[0], "a state dict, a dict of plain values"))
    return f"and save {value} from now on, which every release loads"


def module_missing(look: Look) -> list[Guess]:
    """A module that unpickling wants: the user's own code, or a library that moved it."""
    name = look.match["module"]
    top = name.split(".")[0]
    if name.startswith("__torch__"):
        why = "the file is a TorchScript program (its classes are of `__torch__`), and it was read as a pickled model"
        remedy = "`torch.jit.load` it; its weights are `torch.jit.load(path).state_dict()`."
        return [look.entry.guess(look, "format-mismatch", confidence=0.9, why=why, remedy=remedy)]
    if name.startswith(("numpy._core", "numpy.core")):
        return [
            look.entry.guess(
                look,
                confidence=0.95,
                why=(
                    f"the file was pickled with numpy {'2' if '_core' in name else '1'} (`{name}` has moved "
                    f"between 1.26 "
                    f"and 2.0)"
                ),
                remedy="Install the numpy that wrote it (>= 2 for `numpy._core`), or save plain tensors.",
            )
        ]
    unpickled = (
        bool(look.reading.calls.intersection(_LOADS))
        or "pickle" in look.reading.lower
        or "torch.load" in look.reading.lower
    )
    if top in _LIBRARIES and "." not in name and unpickled:
        why = f"the file pickles objects of `{name}`, which is not installed here"
        return [
            look.entry.guess(look, "custom-object", confidence=0.7, why=why),
            look.entry.guess(look, confidence=0.6),
        ]
    if top in _LIBRARIES:
        return [
            look.entry.guess(look, confidence=0.82 if unpickled else 0.3),
            look.entry.guess(look, "custom-object", confidence=0.45 if unpickled else 0.2),
        ]
    if unpickled:
        return [
            look.entry.guess(
                look,
                "custom-object",
                confidence=0.88,
                why=(
                    f"the file pickles classes by their module `{name}`, which cannot be imported here: the code "
                    f"of the "
                    f"repository that saved it"
                ),
                remedy=(
                    "Put that repository on the path (run from its folder, or PYTHONPATH), or save "
                    "`model.state_dict()` there, which needs no code. `holdfast CKPT` lists the globals."
                ),
            ),
            look.entry.guess(look, "unserialisable", confidence=0.4),
        ]
    if (
        top in ("models", "model", "utils", "modules", "nets", "network", "networks")
        and not look.reading.frames
    ):
        return [
            look.entry.guess(
                look,
                "custom-object",
                confidence=0.5,
                why=(
                    f"a pickled class of the module `{name}` (the saving repository's own code) cannot be imported "
                    f"here"
                ),
                remedy="Put that repository on the path, or save a state dict there.",
            )
        ]
    return []


def text_or_bytes(look: Look) -> list[Guess]:
    """ASCII is Python 2's pickle; UTF-8 is a text file that is none."""
    if look.match["codec"] == "ascii":
        why = "the pickle was written by Python 2 (its texts are bytes)"
        return [
            look.entry.guess(look, confidence=0.8, why=why),
            look.entry.guess(look, "format-mismatch", confidence=0.5),
        ]
    return [
        look.entry.guess(look, "format-mismatch", confidence=0.76),
        look.entry.guess(look, "corrupt", confidence=0.4),
        look.entry.guess(look, confidence=0.38),
    ]


def whose_attribute(look: Look) -> list[Guess]:
    """A name that a module lacks: of a library (another version), or of the user's own code."""
    module = look.match["module"]
    if module.split(".")[0] not in _LIBRARIES and module not in _REPOSITORIES:
        return [look.entry.guess(look)]
    why = "the file pickles `{name}` of `{module}`, which this version of the library does not have there".format_map(
        look.facts()
    )
    remedy = "Install the version that saved; or save a state dict there, which names no classes."
    return [
        look.entry.guess(look, "version-mismatch", confidence=0.88, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.55),
    ]


ENTRIES = (
    Entry(
        "torch-weights-only",
        "unsafe-pickle",
        (
            "weights only load failed",
            "unsupported global",
            "add_safe_globals",
            "unsupported",
            "weightsunpickler error",
            "you are using `torch.load` with `weights_only=false`",
        ),
        r"Weights only load failed|Unsupported (?:operand \d+|(?:global|class)[: ]+(?:GLOBAL )?(?P<what>[\w.]+)?)"
        r"|add_safe_globals|WeightsUnpickler error"
        r"|You are using `torch\.load` with `weights_only=False`",
        weigh=weights_only,
        why=(
            "torch 2.6 reads with weights_only=True by default, and the file names something outside its allow-list "
            "({what})"
        ),
        remedy=(
            "Allow just this class (`torch.serialization.add_safe_globals([...])`) where you trust the file; "
            "`holdfast CKPT` lists every global in it "
            "without running it. weights_only=False runs whatever the file says."
        ),
        confirm="`holdfast CKPT` lists the globals (X rules).",
        also=("version-mismatch", "custom-object"),
        weight=0.9,
        test="pickle",
        types=("UnpicklingError",),
        calls=_LOAD,
        example=(
            "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded... GLOBAL "
            "numpy.core.multiarray.scalar was not an allowed global by default."
        ),
    ),
    Entry(
        "torch-rebuild-missing",
        "version-mismatch",
        ("_rebuild_", "can't get attribute", "has no attribute"),
        r"(?:Can't get attribute|has no attribute) '(?P<what>_rebuild_\w+|_load_from_bytes|OrderedDict)'",
        why="the file uses `{what}`, which this version of PyTorch does not have",
        remedy="Upgrade PyTorch to the version that wrote it, or newer.",
        weight=0.93,
        example="AttributeError: Can't get attribute '_rebuild_parameter' on <module 'torch._utils'>",
    ),
    Entry(
        "torch-cve-upgrade",
        "unsafe-pickle",
        (
            "cve-2025-32434",
            "upgrade torch to at least v2.6",
            "trust_remote_code",
            "requires you to execute the",
            "orbidden",
        ),
        (
            r"CVE-2025-32434|upgrade torch to at least v2\.6|requires you to execute the .{0,60}(?:code|file)"
            r"|trust_remote_code=True|forbidden (?:global|class)"
        ),
        why="the loader refuses to run what the file (or its repository) says",
        remedy="Use a safetensors file; upgrade torch; allow it only where you trust the source.",
        also=("version-mismatch", "custom-object"),
        weight=0.85,
        test="pickle",
        example=(
            "ValueError: Due to a serious vulnerability issue in `torch.load` (CVE-2025-32434), we now require users "
            "to upgrade torch to at least v2.6"
        ),
    ),
    Entry(
        "numpy-generator",
        "version-mismatch",
        (
            "is not a known bitgenerator",
            "numpy.dtype size changed",
            "first argument must be a sub-type of ndarray",
            "inconsistentversionwarning",
            "trying to unpickle estimator",
        ),
        (
            r"is not a known BitGenerator module|numpy\.dtype size changed"
            r"|First argument must be a sub-type of ndarray"
            r"|Trying to unpickle estimator (?P<name>\w+) from version (?P<then>[\w.]+) when using version"
            r" (?P<now>[\w.]+)"
        ),
        why="the pickle was written with another version of the library",
        remedy="Install the version that wrote it, or save plain arrays.",
        weight=0.9,
        test="pickle",
        also=("custom-object",),
        weigh=loading_where("size changed"),
        example="ValueError: <class 'numpy.random._mt19937.MT19937'> is not a known BitGenerator module.",
    ),
    Entry(
        "python2-pickle",
        "version-mismatch",
        ("codec can't decode byte",),
        r"'(?P<codec>ascii|utf-8|utf8)' codec can't decode byte (?P<byte>0x[0-9a-f]{2}) in position (?P<at>\d+)",
        why="bytes of a binary file are read as text",
        remedy=(
            "A Python 2 pickle: `pickle.load(f, encoding='latin1')`; else the file is binary (weights) where text "
            "(json) is wanted: check which path was given."
        ),
        weigh=text_or_bytes,
        calls=("load", "from_pretrained", "loads"),
        context=("pickle", "torch", "checkpoint", "model", "json"),
        only_in=True,
        test="whole",
        example=(
            "  File \"torch/serialization.py\", line 1, in load\n    pickle.load(f)\nUnicodeDecodeError: 'ascii' "
            "codec can't decode byte 0x80 in position 2: ordinal not in range(128)"
        ),
    ),
    Entry(
        "module-missing",
        "version-mismatch",
        ("no module named",),
        r"No module named '?(?P<module>[\w.]+)'?",
        why="the file needs the module `{module}`, which this version of the library does not have",
        remedy="Install the version that wrote the file; `holdfast CKPT` names it where the file tells.",
        weigh=module_missing,
        test="pickle",
        example="  File \"torch/serialization.py\", line 1, in load\nModuleNotFoundError: No module named 'numpy._core'",
    ),
    Entry(
        "attribute-missing",
        "custom-object",
        ("an't get attribute '",),
        r"can't get attribute '(?P<name>[\w.]+)' on <module '(?P<module>[\w.]+)'",
        why=(
            "the file pickles `{name}` of the module `{module}`, which is not there: it was saved from a script or "
            "notebook (`__main__`), or the code was renamed"
        ),
        remedy="Define or import that class under the same module before loading; save state dicts, which need no code.",
        also=("version-mismatch", "unserialisable"),
        weight=0.92,
        calls=_LOADS,
        weigh=whose_attribute,
        test="pickle",
        example="AttributeError: Can't get attribute 'Net' on <module '__main__' from 'serve.py'>",
    ),
)
