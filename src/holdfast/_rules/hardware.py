"""E31: what a file asks of the device, and layouts that one kind of device wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._core.catalog import Catalog
from .._core.finding import Finding
from .._core.spec import TensorSpec
from .._facts.hardware import bias_form, memory_format, since_capability
from .._facts.versions import parse_version
from .registry import Rule, Subject, rule
from .words import count, few

__all__: list[str] = []


def _partner(catalog: Catalog, spec: TensorSpec) -> TensorSpec | None:
    """The recurrent kernel beside a bias."""
    head, _, last = spec.name.rpartition("/")
    name, colon, number = last.partition(":")
    if name != "bias":
        return None
    other = f"{head}/recurrent_kernel{colon}{number}"
    return catalog.get(other)


def _forms(catalog: Catalog) -> Iterator[tuple[TensorSpec, str]]:
    for name, spec in catalog.items():
        if "bias" not in name:
            continue
        if name.rpartition("/")[2].startswith("bias") and spec.role in ("weight", "buffer"):
            partner = _partner(catalog, spec)
            form = bias_form(partner.shape, spec.shape) if partner is not None else None
            if form is not None:
                yield spec, form


@rule(
    "E311", "packed-rnn", severity="warning", cause="device-mismatch",
    remedy="Load it with Keras 2 (pip install tf_keras), whose loader turns cuDNN layouts into GRU(reset_after=True) and "
    "LSTM, and save again.",
)  # fmt: skip
def packed_rnn(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Recurrent weights in cuDNN's layout.

    CuDNNGRU and CuDNNLSTM keep two biases in one vector (6u or 8u numbers) and their kernels gate by gate transposed.
    Keras 3 has no such layers: GRU and LSTM refuse the bias by its shape.

    Evidence: the shape, and the layer that has it.

    What to do: convert with Keras 2.

    Example: weights of a CuDNNGRU trained under Keras 2 for a GRU on a CPU.
    """
    catalog = subject.catalog
    if catalog is None or not any(
        "recurrent_kernel" in name and name.partition(":")[0].endswith("recurrent_kernel") for name in catalog
    ):
        return
    for spec, form in _forms(catalog):
        if form.startswith("CuDNN"):
            yield rule.finding(
                f"{spec.name} is the bias of a {form}, a layer that Keras 3 does not have",
                file=subject.target.path,
                tensor=spec.name,
                tensors=(spec.name,),
                seen=list(spec.shape),
            )


@rule(
    "E315", "recurrent-form", severity="warning", cause="device-mismatch", live=True,
    remedy="Build the live layer of the stored form (reset_after=), or retrain it; no reshaping keeps the function.",
)  # fmt: skip
def recurrent_form(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A recurrent layer's bias is stored in another form than the live layer has.

    GRU(reset_after=False), the default of Keras 2's first GRU, applies the reset gate before the recurrent product
    and has one bias (3u); GRU(reset_after=True), the default since TensorFlow 2 and the one that cuDNN computes,
    applies it after and has two (2, 3u). They are different functions.

    Evidence: both forms, the stored shape.

    What to do: set reset_after as it was.

    Example: weights of ``GRU(8, reset_after=False)`` for a ``GRU(8)``.
    """
    if subject.catalog is None or subject.live is None:
        return
    live = {spec.name.partition(":")[0]: form for spec, form in _forms(subject.live)}
    for spec, form in _forms(subject.catalog):
        wanted = live.get(spec.name.partition(":")[0])
        if wanted is not None and wanted != form:
            yield rule.finding(
                f"{spec.name} is stored as the bias of a {form}, the live layer is a {wanted}",
                file=subject.target.path,
                tensor=spec.name,
                tensors=(spec.name,),
                seen=list(spec.shape),
                expected=wanted,
            )


def _stride(spec: TensorSpec) -> Sequence[int] | None:
    value = spec.attributes.get("stride") if spec.attributes else None
    return value if isinstance(value, (list, tuple)) else None


@rule("E312", "channels-last", severity="note", cause="device-mismatch", live=True)
def channels_last(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Kernels were saved in channels_last memory format, the live ones are contiguous, or the other way round.

    The values are the same, and load_state_dict as well as holdfast restore keep the live format. What differs is
    speed, and results by the last bits, as another kernel computes them. Speaks only beside a live model that tells
    its strides.

    Evidence: the tensors.

    What to do: model.to(memory_format=torch.channels_last) before training goes on, if it was so before.

    Example: a model trained on a GPU in channels_last, evaluated after a plain restore.
    """
    if subject.catalog is None or subject.live is None:
        return
    found: list[str] = []
    formats: tuple[str | None, str | None] = (None, None)
    for spec in subject.live.values():
        here = _stride(spec)
        if here is None or len(spec.shape) not in (4, 5) or spec.name not in subject.catalog:
            continue
        stored = subject.catalog[spec.name]
        there = _stride(stored) or _plain(stored.shape)
        pair = (memory_format(stored.shape, there), memory_format(spec.shape, here))
        if None not in pair and pair[0] != pair[1] and stored.shape == spec.shape:
            found.append(spec.name)
            formats = pair
    if found:
        yield rule.finding(
            f"{count(len(found), 'kernel')} saved {formats[0]}, {formats[1]} in the live model: same values, other "
            f"speed",
            file=subject.target.path,
            tensors=tuple(found),
            seen=formats[0],
            expected=formats[1],
            remedy="model.to(memory_format=torch.channels_last) where that is meant; the values are not concerned.",
        )


def _plain(shape: Sequence[int]) -> list[int]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return strides[::-1]


@rule("E313", "type-on-device", severity="warning", cause="device-mismatch", live=True)
def type_on_device(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Tensors of a number type that the device has no arithmetic for.

    bfloat16 needs compute capability 8.0, float8 8.9, float4 10.0. The file loads on older GPUs; products are
    emulated, slow, or raise. TF32 (8.0) is a mode of float32, not a type: on a device without it the same model gives
    results that differ by about 1e-3 from those that were logged. Speaks only where the device is named
    (--target cuda==8.6).

    Evidence: the types, and the capability they need.

    What to do: cast on restore (cast: in the plan), or use a device that has them.

    Example: ``holdfast check model.safetensors --target cuda==7.5`` on a bfloat16 model.
    """
    device = parse_version((subject.reader or {}).get("cuda"))
    if subject.catalog is None or device is None:
        return
    capability = (*device, 0)[:2]
    rows: dict[str, list[str]] = {}
    for spec in subject.catalog.values():
        if since_capability(spec.dtype, capability) is not None:
            rows.setdefault(spec.dtype, []).append(spec.name)
    for dtype, names in rows.items():
        row = since_capability(dtype, capability)
        assert row is not None
        yield rule.finding(
            f"{count(len(names), 'tensor')} in {dtype}, which a device of compute capability "
            f"{'.'.join(map(str, capability))} does not compute: {row.before}",
            file=subject.target.path,
            tensor=names[0],
            tensors=tuple(names),
            seen=".".join(map(str, capability)),
            expected=".".join(map(str, row.since)),
            remedy="Restore with a cast, for instance --allow 'cast:*:float16', after looking at the value range.",
        )


def _policy(catalog: Catalog) -> str | None:
    value = catalog.attributes.get("precision_policy")
    return str(value) if value else None


@rule("E314", "precision-policy", severity="note", cause="dtype-mismatch", live=True)
def precision_policy(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The file was written under another precision policy than the live model has.

    Under mixed_float16 and mixed_bfloat16 variables are float32, so weights carry over exactly in both directions;
    only what is computed differs (about 4e-5 relative with float16, up to 6e-3 with bfloat16). mixed_float16 has a
    loss scale besides: its state is in the file only if the optimizer was a loss-scaling one, and starts afresh where
    the file has none.

    Evidence: both policies.

    What to do: set the policy before building the model, if the metrics are to be those that were logged.

    Example: a model trained with keras.mixed_precision.set_global_policy("mixed_float16"), restored under float32.
    """
    if subject.catalog is None or subject.live is None:
        return
    stored, live = _policy(subject.catalog), _policy(subject.live)
    if stored is None or live is None or stored == live:
        return
    scaled = "mixed_float16" in (stored, live)
    yield rule.finding(
        f"saved under {stored}, the live model has {live}"
        + ("; the loss scale's state is on one side only" if scaled else ""),
        file=subject.target.path,
        seen=stored,
        expected=live,
        remedy=f"keras.config.set_dtype_policy({few([stored])}) before the model is built, to compute as it was.",
    )
