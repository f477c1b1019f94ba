"""Sound checkpoints that look odd: the doctor must stay silent about all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damage_bases as bases
import numpy as np


@dataclass(frozen=True)
class Writes:
    """A writer of one sound checkpoint; ``write(folder)`` returns what a person would name in it."""

    base: str
    title: str
    write: Callable[[Path], str]
    modules: tuple[str, ...]
    expect: str = "silent"


SOUND: list[Writes] = []


def torch_sound(title: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a function whose result is saved by ``torch.save``."""

    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        def write(folder: Path) -> str:
            import torch

            torch.manual_seed(11)
            torch.save(make(), folder / "sound.pt")
            return "sound.pt"

        SOUND.append(Writes("torch", title, write, ("torch",)))
        return make

    return register


def _both(net: Any, optimizer: Any, **more: Any) -> dict[str, Any]:
    return {"model": net.state_dict(), "optimizer": optimizer.state_dict(), **more}


@torch_sound("freshly initialised, optimizer never stepped")
def torch_fresh() -> Any:
    import torch

    net = bases.torch_net(1)
    return _both(net, torch.optim.Adam(net.parameters()), epoch=0)


@torch_sound("freshly initialised weights only")
def torch_fresh_weights() -> Any:
    return bases.torch_net(2).state_dict()


@torch_sound("DataParallel prefix")
def torch_parallel() -> Any:
    import torch

    return torch.nn.DataParallel(bases.torch_net(2)).state_dict()


@torch_sound("torch.compile prefix")
def torch_compiled() -> Any:
    return {"_orig_mod." + n: t for n, t in bases.torch_net(2).state_dict().items()}


@torch_sound("words never seen (sparse rows)")
def torch_sparse_rows() -> Any:
    import torch

    net = bases.torch_net(3)
    optimizer = torch.optim.Adam(net.parameters())
    bases.torch_steps(net, optimizer, vocabulary=20)
    return _both(net, optimizer)


@torch_sound("embedding of zeros but for the words seen")
def torch_zero_rows() -> Any:
    import torch

    net = torch.nn.Embedding(2000, 32)
    torch.nn.init.zeros_(net.weight)
    optimizer = torch.optim.SparseAdam(torch.nn.Embedding(2000, 32, sparse=True).parameters())
    with torch.no_grad():
        net.weight[torch.randperm(2000)[:300]] = torch.randn(300, 32) * 0.1
    return {"emb": net.state_dict(), "optimizer": optimizer.state_dict()}


@torch_sound("padding row, causal masks of -inf")
def torch_masks() -> Any:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb = torch.nn.Embedding(100, 64, padding_idx=0)
            self.register_buffer("mask", torch.triu(torch.full((32, 32), float("-inf")), 1))
            self.register_buffer("causal_bias", torch.triu(torch.full((64, 64), float("-inf")), 1))
            self.attn = torch.nn.MultiheadAttention(64, 4)

    return Net().state_dict()


@torch_sound("best metric inf, logged NaN")
def torch_best() -> Any:
    return {"model": bases.torch_net(2).state_dict(), "best_loss": float("inf"), "val": float("nan")}


@torch_sound("LoRA, B still zero")
def torch_lora() -> Any:
    import torch

    return {
        f"base_model.model.layers.{i}.q_proj.lora_{k}.weight": (
            torch.randn(8, 64) if k == "A" else torch.zeros(64, 8)
        )
        for i in range(6)
        for k in "AB"
    }


@torch_sound("bfloat16 weights, float32 slots")
def torch_mixed() -> Any:
    made = bases.torch_checkpoint()
    made["model_state_dict"] = {
        n: t.bfloat16() if t.is_floating_point() else t for n, t in made["model_state_dict"].items()
    }
    return made


@torch_sound("float16 weights, float32 slots, GradScaler")
def torch_half() -> Any:
    made = bases.torch_checkpoint()
    made["model_state_dict"] = {
        n: t.half() if t.is_floating_point() else t for n, t in made["model_state_dict"].items()
    }
    made["scaler"] = {
        "scale": 65536.0,
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": 2000,
        "_growth_tracker": 4,
    }
    return made


@torch_sound("frozen layers without slots")
def torch_frozen() -> Any:
    import torch

    net = bases.torch_net(4)
    for parameter in (*net.emb.parameters(), *net.conv.parameters()):
        parameter.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad])
    bases.torch_steps(net, optimizer)
    return _both(net, optimizer)


@torch_sound("frozen layers in the optimizer")
def torch_frozen_inside() -> Any:
    import torch

    net = bases.torch_net(4)
    for parameter in (*net.emb.parameters(), *net.conv.parameters()):
        parameter.requires_grad_(False)
    optimizer = torch.optim.Adam(net.parameters())
    bases.torch_steps(net, optimizer)
    return _both(net, optimizer)


@torch_sound("layer unfrozen later (steps differ)")
def torch_unfrozen() -> Any:
    import torch

    net = bases.torch_net(4)
    net.emb.weight.requires_grad_(False)
    optimizer = torch.optim.Adam(net.parameters())
    bases.torch_steps(net, optimizer, 3)
    net.emb.weight.requires_grad_(True)
    bases.torch_steps(net, optimizer, 2)
    return _both(net, optimizer)


@torch_sound("two groups, two learning rates")
def torch_groups() -> Any:
    import torch

    net = bases.torch_net(4)
    named = list(net.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for n, p in named if "bias" not in n]},
            {"params": [p for n, p in named if "bias" in n], "weight_decay": 0.0},
        ]
    )
    bases.torch_steps(net, optimizer)
    return _both(net, optimizer)


@torch_sound("EMA beside the model")
def torch_ema() -> Any:
    import torch

    net = bases.torch_net(4)
    ema = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(3):
        bases.torch_steps(net, optimizer, 1)
        ema.update_parameters(net)
    return _both(net, optimizer, ema=ema.state_dict())


@torch_sound("EMA right after its start (equal to the model)")
def torch_ema_fresh() -> Any:
    net = bases.torch_net(4)
    return {"model": net.state_dict(), "ema": copy.deepcopy(net).state_dict()}


@torch_sound("tied weights")
def torch_tied() -> Any:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb = torch.nn.Embedding(100, 64)
            self.out = torch.nn.Linear(64, 100, bias=False)
            self.out.weight = self.emb.weight

        def forward(self, x: Any) -> Any:
            return self.out(self.emb(x)).mean(1)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    bases.torch_steps(net, optimizer, vocabulary=100)
    return _both(net, optimizer)


@torch_sound("GAN: two models, two optimizers")
def torch_gan() -> Any:
    import torch

    made = {}
    for name, seed in (("generator", 1), ("discriminator", 2)):
        net = bases.torch_net(seed)
        optimizer = torch.optim.Adam(net.parameters(), betas=(0.5, 0.999))
        bases.torch_steps(net, optimizer, 2 + seed)
        made[name], made[name + "_optimizer"] = net.state_dict(), optimizer.state_dict()
    return made


@torch_sound("BatchNorm without running statistics")
def torch_no_statistics() -> Any:
    import torch

    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3),
        torch.nn.BatchNorm2d(16, track_running_stats=False),
        torch.nn.Conv2d(16, 16, 3),
        torch.nn.InstanceNorm2d(16, affine=True),
        torch.nn.GroupNorm(4, 16),
    ).state_dict()


@torch_sound("BatchNorm beside LayerNorm")
def torch_norms() -> Any:
    import torch

    net = torch.nn.ModuleDict(
        {"bn": torch.nn.BatchNorm1d(64), "norm": torch.nn.LayerNorm(64), "ln": torch.nn.LayerNorm(64)}
    )
    net["bn"](torch.randn(32, 64))
    return net.state_dict()


@torch_sound("ResNet block with zero-initialised gamma")
def torch_zero_gamma() -> Any:
    import torch

    net = torch.nn.ModuleDict({f"bn{i}": torch.nn.BatchNorm2d(64) for i in (1, 2, 3)})
    torch.nn.init.zeros_(net["bn3"].weight)
    return net.state_dict()


@torch_sound("zero-initialised output convolution (diffusion)")
def torch_zero_out() -> Any:
    import torch

    net = torch.nn.Sequential(
        torch.nn.Conv2d(4, 32, 3), torch.nn.Conv2d(32, 32, 3), torch.nn.Conv2d(32, 4, 3)
    )
    torch.nn.init.zeros_(net[2].weight)
    return {f"{n.replace('2.', 'proj_out.')}": t for n, t in net.state_dict().items()}


@torch_sound("LSTM, quantised Linear and scalars")
def torch_odds() -> Any:
    import torch

    return {
        "lstm": torch.nn.LSTM(16, 32, 2, bidirectional=True).state_dict(),
        "q": torch.quantize_per_tensor(torch.randn(32, 32), 0.05, 0, torch.qint8),
        "temperature": torch.tensor(2.6592),
        "anchor": torch.zeros(3, 4),
        "ids": torch.arange(512),
        "empty": torch.zeros(0, 4),
        "args": {"lr": 1e-3, "name": "run"},
    }


@torch_sound("pruned by torch.nn.utils.prune")
def torch_pruned() -> Any:
    import torch
    from torch.nn.utils import prune

    net = torch.nn.Linear(128, 128)
    prune.l1_unstructured(net, "weight", 0.7)
    return net.state_dict()


@torch_sound("weight norm, spectral norm")
def torch_reparametrised() -> Any:
    import torch

    return torch.nn.Sequential(
        torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(64, 64)),
        torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(64, 64)),
    ).state_dict()


@torch_sound("second parameter group just added")
def torch_group_added() -> Any:
    import torch

    net = bases.torch_net(4)
    optimizer = torch.optim.Adam(net.fc1.parameters())
    bases.torch_steps(net, optimizer)
    optimizer.add_param_group({"params": list(net.fc2.parameters())})
    return _both(net, optimizer)


TORCH_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1},
    "SGD ": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Adadelta": {},
    "Adagrad": {},
    "ASGD": {},
    "RMSprop": {"centered": True, "momentum": 0.9},
    "Rprop": {},
    "Adafactor": {},
}


def _torch_optimizer(name: str, options: dict[str, Any]) -> Callable[[], Any]:
    def make() -> Any:
        import torch

        net = bases.torch_net(6)
        optimizer = getattr(torch.optim, name.strip())(net.parameters(), **options)
        bases.torch_steps(net, optimizer, 3)
        return _both(net, optimizer)

    return make


for _name, _options in TORCH_OPTIMIZERS.items():
    torch_sound(f"{_name.strip()} {_options or ''}".strip())(_torch_optimizer(_name, _options))


@torch_sound("LBFGS")
def torch_lbfgs() -> Any:
    import torch

    net = torch.nn.Linear(20, 5)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3)
    data, target = torch.randn(16, 20), torch.randn(16, 5)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((net(data) - target) ** 2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return _both(net, optimizer)


def arrays_sound(title: str, expect: str = "silent") -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a function whose dictionary of arrays is saved as safetensors and npz."""

    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        def safe(folder: Path) -> str:
            from safetensors.numpy import save_file

            save_file({n: np.asarray(a) for n, a in make().items()}, folder / "sound.safetensors")
            return "sound.safetensors"

        def npz(folder: Path) -> str:
            np.savez(folder / "sound.npz", **make())
            return "sound.npz"

        def packed(folder: Path) -> str:
            np.savez_compressed(folder / "sound.npz", **make())
            return "sound.npz"

        SOUND.append(Writes("safetensors", title, safe, ("safetensors",), expect))
        SOUND.append(Writes("npz", title, npz, (), expect))
        SOUND.append(Writes("npz compressed", title, packed, (), expect))
        return make

    return register


@arrays_sound("fresh")
def fresh_arrays() -> Any:
    rng = np.random.default_rng(0)
    return {
        "dense/kernel": rng.normal(size=(200, 100)).astype(np.float32),
        "dense/bias": np.zeros(100, np.float32),
        "bn/gamma": np.ones(100, np.float32),
        "bn/moving_mean": np.zeros(100, np.float32),
        "bn/moving_variance": np.ones(100, np.float32),
        "step": np.int64(0) * np.ones((), np.int64),
    }


@arrays_sound("data, not weights")
def data_arrays() -> Any:
    rng = np.random.default_rng(0)
    image = np.zeros((300, 300), np.float32)
    image[100:180, 40:200] = rng.random((80, 160), dtype=np.float32)
    return {
        "image": image,
        "labels": rng.integers(0, 10, 1000),
        "one_hot": np.eye(64, dtype=np.float32),
        "positions": np.arange(6000, dtype=np.float32).reshape(60, 100),
        "offsets": np.zeros((100, 3)),
    }


@arrays_sound("tied weights stored twice")
def tied_arrays() -> Any:
    w = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    return {"model.embed.weight": w, "lm_head.weight": w.copy()}


@arrays_sound("LoRA adapter, B zero")
def lora_arrays() -> Any:
    rng = np.random.default_rng(0)
    return {
        f"base_model.model.model.layers.{i}.self_attn.{m}.lora_{k}.weight": (
            rng.normal(size=(8, 128)).astype(np.float32) if k == "A" else np.zeros((128, 8), np.float32)
        )
        for i in range(4)
        for m in ("q_proj", "v_proj")
        for k in "AB"
    }


# --- Keras and TensorFlow ------------------------------------------------------------------------------------


def _save_everywhere(title: str, make: Callable[[], Any], forms: tuple[str, ...]) -> None:
    made: dict[str, Any] = {}
    for number, form in enumerate(forms):

        def write(folder: Path, form: str = form, last: bool = number == len(forms) - 1) -> str:
            import contextlib
            import io

            import keras
            import tensorflow as tf

            if "model" not in made:
                keras.backend.clear_session()
                made["model"] = make()
            model = made.pop("model") if last else made["model"]
            name = {"keras-archive": "m.keras", "keras-weights": "m.weights.h5", "keras-h5": "m.h5"}.get(
                form, "ckpt"
            )
            if form == "tf-object":
                tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / name))
            elif form == "keras-weights":
                model.save_weights(folder / name)
            else:
                with contextlib.redirect_stderr(io.StringIO()):
                    model.save(folder / name)
            return name

        SOUND.append(Writes(form, title, write, ("keras", "tensorflow")))


ALL_FORMS = ("keras-archive", "keras-weights", "keras-h5", "tf-object")


def _keras_fresh() -> Any:
    return bases.keras_net(9)


def _keras_built() -> Any:
    model = bases.keras_net(9)
    model.optimizer.build(model.trainable_variables)
    return model


def _keras_unseen() -> Any:
    return bases.keras_steps(bases.keras_net(9), 2, vocabulary=15)


def _keras_frozen() -> Any:
    model = bases.keras_net(9)
    model.get_layer("emb").trainable = False
    model.get_layer("conv").trainable = False
    model.compile(optimizer="adam", loss=bases._loss())
    return bases.keras_steps(model, 2)


def _keras_mixed() -> Any:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        return bases.keras_steps(
            bases.keras_net(9, optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())), 2
        )
    finally:
        keras.config.set_dtype_policy("float32")


def _keras_with(kind: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import keras

        return bases.keras_moved(bases.keras_net(9, optimizer=getattr(keras.optimizers, kind)(**options)))

    return make


_save_everywhere("freshly initialised", _keras_fresh, ALL_FORMS)
_save_everywhere("fresh, optimizer built", _keras_built, ALL_FORMS)
_save_everywhere("words never seen", _keras_unseen, ALL_FORMS)
_save_everywhere("frozen layers", _keras_frozen, ALL_FORMS)
_save_everywhere("mixed precision, loss scale", _keras_mixed, ("keras-archive", "keras-weights", "tf-object"))
_save_everywhere("EMA in the optimizer", _keras_with("Adam", use_ema=True), ALL_FORMS)
_save_everywhere(
    "accumulated gradients",
    _keras_with("Adam", gradient_accumulation_steps=3),
    ("keras-archive", "tf-object"),
)
for _kind, _more in (
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("Adafactor", {}),
    ("Ftrl", {}),
    ("Lion", {}),
    ("Lamb", {}),
    ("Muon", {}),
):
    _save_everywhere(
        f"{_kind} {_more or ''}".strip(), _keras_with(_kind, **_more), ("keras-archive", "tf-object")
    )
