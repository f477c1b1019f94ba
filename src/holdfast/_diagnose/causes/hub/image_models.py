"""Checkpoints of image models in their many layouts: diffusers, web UIs, ComfyUI, InvokeAI, converters.

Messages: diffusers (loaders/single_file, models/model_loading_utils, pipelines), ComfyUI (comfy/sd.py, nodes.py, execution.py),
modules/sd_models.py of the web UIs, InvokeAI's model manager.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone

_LAYOUT = (
    "`holdfast FILE` says which model it is; load a whole checkpoint, a diffusion model alone, a VAE, a text encoder and an "
    "adapter each with its own loader and folder."
)

ENTRIES = (
    Entry(
        "embedding-file-kind",
        "format-mismatch",
        (
            "embedding file has multiple terms",
            "textual inversion embedding",
            "couldn't identify",
            "learned_embeds",
        ),
        r"embedding file has multiple terms|couldn't identify \S+ as (?:neither )?(?:a )?textual inversion"
        r"|(?:unknown|unsupported|unrecognized) (?:format|type) .{0,40}textual inversion embedding"
        r"|learned_embeds.{0,200}?(?:KeyError|unexpected|not found)",
        why="the file is no embedding of this kind: a model or an adapter in the embeddings' folder, or another layout",
        remedy="`holdfast FILE` says what it is; put it into the folder of its kind.",
        weigh=ranked(("format-mismatch", 0.88), ("version-mismatch", 0.6), ("unexpected-tensor", 0.5)),
        test="whole",
        example="AssertionError: embedding file has multiple terms in it",
    ),
    Entry(
        "embedding-width",
        "shape-mismatch",
        ("cannot be broadcast to indexing result",),
        r"value tensor of shape \[(?P<got>[\d, ]*)\] cannot be broadcast to indexing result of shape \[(?P<want>[\d, ]*)\]",
        why="vectors of shape [{got}] are put where [{want}] have room: they were learned for another base model",
        remedy="Take the file made for this base model; `holdfast inspect FILE` lists the shapes.",
        where=loading_or_alone,
        weigh=ranked(("shape-mismatch", 0.74), ("format-mismatch", 0.6), ("version-mismatch", 0.45)),
        test="names",
        example="shape mismatch: value tensor of shape [1024] cannot be broadcast to indexing result of shape [1, 768]",
    ),
    Entry(
        "image-model-kind",
        "format-mismatch",
        (
            "could not detect model type",
            "failed to recognize model type",
            "unable to determine model type",
            "unable to determine model",
            "unable to determine base",
            "cannot determine base type",
            "cannot determine model",
            "unknown model format",
            "could not determine model",
            "clip input is invalid: none",
            "vae is invalid: none",
            "does not contain a valid vae",
            "does not contain a valid clip",
            "does not contain controlnet",
            "no vae weights detected",
            "unexpected architecture type in gguf",
            "invalidmodelconfigexception",
            "invalid model config",
            "you do not have clip state dict",
            "you do not have vae state dict",
            "you do not have unet state dict",
            "unexpected text model architecture",
            "this gguf file is incompatible",
            "is not a supported model",
        ),
        "",
        why=(
            "the file is not the kind of model that this loader takes: a part without text encoder or VAE, another base, "
            "an adapter"
        ),
        remedy=_LAYOUT,
        where=loading_or_alone,
        weigh=ranked(
            ("format-mismatch", 0.84), ("version-mismatch", 0.7), ("missing-tensor", 0.62), ("corrupt", 0.5)
        ),
        test="names",
        example="RuntimeError: ERROR: Could not detect model type of: models/checkpoints/dev-fp8.safetensors",
    ),
    Entry(
        "image-model-not-listed",
        "not-found",
        (
            "' not in",
            "value not in list",
            "no checkpoints found",
            "can't run without a checkpoint",
            "not in [",
        ),
        r"Value not in list: ?\w*(?:ckpt|unet|vae|clip|lora|model|control_net)\w*: ?'?(?P<name>[^']+)'? not in|No "
        r"checkpoints found"
        r"|Can't run without a checkpoint|(?:ckpt|unet|vae|clip|lora|model|control_net)_name\w*: '(?P<name2>[^']+)' not in",
        why="the model that is asked for ({name}) is not in the folder that is searched",
        remedy=(
            "Put it into the folder for its kind and refresh the list; the name must agree to the letter, sub-folder "
            "included."
        ),
        also=("format-mismatch", "storage"),
        weight=0.88,
        test="path",
        example="Value not in list: ckpt_name: 'v1.safetensors' not in ['sdxl.safetensors']",
    ),
    Entry(
        "image-model-keys-missing",
        "missing-tensor",
        (
            "clip missing",
            "unet missing",
            "because the following keys are missing",
            "clip missing:",
            "missing keys when loading",
            "unet missing:",
            "vae missing",
        ),
        r"because the following keys are missing|(?:clip|unet|vae) missing:? ?\[",
        why="the file lacks tensors that this class wants: another version of the model, other names, or a part was left out",
        remedy=_LAYOUT,
        weigh=ranked(
            ("missing-tensor", 0.76), ("renamed", 0.6), ("version-mismatch", 0.58), ("format-mismatch", 0.55)
        ),
        test="names",
        example="ValueError: Cannot load <class 'UNet'> from ./m because the following keys are missing: conv_in.weight",
    ),
    Entry(
        "image-model-shape",
        "shape-mismatch",
        ("expected shape tensor(",),
        r"because `?(?P<tensor>[\w.]+)`? expected shape tensor\(.{0,80}size=\((?P<want>[\d, ]+)\)\), but got "
        r"(?:torch\.Size\()?\[?(?P<got>[\d, ]+)?",
        why=(
            "`{tensor}` has the shape {got} in the file, and {want} in the model: another variant (inpainting, other text "
            "encoder)"
        ),
        remedy=(
            "Take the config that belongs to the file; or `ignore_mismatched_sizes=True, low_cpu_mem_usage=False` to train "
            "that layer anew."
        ),
        also=("format-mismatch", "version-mismatch"),
        weight=0.92,
        test="names",
        example=(
            "Cannot load unet because conv_in.weight expected shape tensor(..., device='meta', size=(320, 9, 3, 3)), but "
            "got torch.Size([320, 4, 3, 3])."
        ),
    ),
    Entry(
        "image-model-left-over",
        "unexpected-tensor",
        (
            "unet unexpected",
            "vae unexpected",
            "left over keys",
            "unet unexpected:",
            "clip unexpected",
            "unexpected keys in",
        ),
        r"left over keys:|(?:unet|clip|vae) unexpected:? ?\[",
        why="the loader found no use for these tensors: a part that it does not want, or another kind of model",
        remedy=_LAYOUT,
        also=("format-mismatch", "renamed"),
        weight=0.78,
        example="left over keys: dict_keys(['first_stage_model.decoder.x.weight'])",
    ),
)
