"""What in a catalog tells its writer's era: traits that the rows on versions ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..._core.catalog import Catalog
from .spans import parse_version
from .weights_only import takes

__all__ = ["TRAITS", "Trait", "writer_of"]


class Trait(NamedTuple):
    """What shows a trait: a short text, and the tensors that bear it (none: the file as a whole)."""

    seen: str
    tensors: tuple[str, ...] = ()


def writer_of(catalog: Catalog) -> tuple[int, ...] | None:
    """The version that wrote the catalog, as far as its attributes tell: of Keras for Keras' formats, of TensorFlow
    for SavedModels; ``None`` where nothing tells."""
    words = catalog.attributes
    if catalog.format == "savedmodel":
        return parse_version(words.get("tensorflow_version"))
    if catalog.format.startswith("keras"):
        return parse_version(words.get("keras_version") or words.get("writer"))
    return None


def _model_with(catalog: Catalog, *endings: str) -> Trait | None:
    """A whole model (its configuration is in the file) with weights of these names."""
    if not catalog.attributes.get("model_class"):
        return None
    names = tuple(
        s.name for s in catalog.values() if s.role == "weight" and s.name.split(":")[0].endswith(endings)
    )
    return Trait(names[0], names) if names else None


def _keyed(catalog: Catalog, *parts: str) -> Trait | None:
    names = tuple(s.name for s in catalog.values() if any(part in s.key for part in parts))
    return Trait(catalog[names[0]].key, names) if names else None


def _model_config(catalog: Catalog) -> Trait | None:
    kind = catalog.attributes.get("model_class")
    return Trait(str(kind)) if kind else None


def _functional(catalog: Catalog) -> Trait | None:
    kind = catalog.attributes.get("model_class")
    return Trait(str(kind)) if kind in ("Functional", "Model") else None


def _slots(catalog: Catalog) -> Trait | None:
    names = tuple(s.name for s in catalog.values() if s.role == "slot")
    return Trait(f"{len(names)} slots", names) if names else None


def _unconfigured(catalog: Catalog) -> Trait | None:
    odd = [o for o in catalog.optimizers if o.class_name is None]
    return _slots(catalog) if odd else None


def _keras_savedmodel(catalog: Catalog) -> Trait | None:
    found = _keyed(catalog, "layer_with_weights-")
    if found is None and catalog.attributes.get("keras_metadata"):
        return Trait("keras_metadata")
    return found and Trait(found.seen)


def _top_level_layers(catalog: Catalog) -> Trait | None:
    found = tuple(s.name for s in catalog.values() if s.key.startswith("layer_with_weights-"))
    return Trait(catalog[found[0]].key, found) if found else None


def _nested_layers(catalog: Catalog) -> Trait | None:
    found = tuple(
        s.name
        for s in catalog.values()
        if "/layer_with_weights-" in s.key
        and ".OPTIMIZER_SLOT" not in s.key
        and s.role in ("weight", "buffer")
    )
    return Trait(catalog[found[0]].key, found) if found else None


def _flat_optimizer(catalog: Catalog) -> Trait | None:
    """Keras 2.11-2.15: variables in one list, the learning rate and iterations beside it, no copy of the weights."""
    found = _keyed(catalog, "/_variables/")
    if (
        found is None
        or _keyed(catalog, "/_trainable_variables/")
        or _keyed(catalog, "layer_with_weights-") is None
    ):
        return None
    return found


def _open_conv(catalog: Catalog) -> Trait | None:
    """Convolutions of Keras 3.0-3.2 in a TensorFlow checkpoint: attribute ``kernel``, where dense layers already
    have ``_kernel``."""
    names = tuple(
        s.name
        for s in catalog.values()
        if s.key.endswith("/kernel/.ATTRIBUTES/VARIABLE_VALUE")
        and len(s.shape) in (3, 4, 5)
        and "_operations/" in s.key
        and "layer_with_weights" not in s.key
    )
    return Trait(catalog[names[0]].key, names) if names else None


def _closed_conv(catalog: Catalog) -> Trait | None:
    names = tuple(
        s.name
        for s in catalog.values()
        if s.key.endswith("/_kernel/.ATTRIBUTES/VARIABLE_VALUE") and len(s.shape) in (3, 4, 5)
    )
    return Trait(catalog[names[0]].key, names) if names else None


def _refused_globals(catalog: Catalog) -> Trait | None:
    odd = [name for name in _globals(catalog) if not takes(name)]
    return Trait(", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")) if odd else None


def _globals(catalog: Catalog) -> Iterator[str]:
    yield from catalog.pickle_globals
    for fault in catalog.faults:  # formats that list only the odd ones
        if fault.slug == "pickle-global" and fault.attributes.get("module"):
            name = f"{fault.attributes['module']}.{fault.attributes['name']}"
            if name not in catalog.pickle_globals:
                yield name


def _global(prefix: str) -> Callable[[Catalog], Trait | None]:
    def trait(catalog: Catalog) -> Trait | None:
        found = next((name for name in _globals(catalog) if name.startswith(prefix)), None)
        return Trait(found) if found else None

    return trait


def _attribute(word: str, test: Callable[[object], bool]) -> Callable[[Catalog], Trait | None]:
    def trait(catalog: Catalog) -> Trait | None:
        value = catalog.attributes.get(word)
        return Trait(f"{word} {value}") if value is not None and test(value) else None

    return trait


def _number(value: object) -> tuple[int, ...]:
    return parse_version(value) or (0,)


def _dtypes(*kinds: str) -> Callable[[Catalog], Trait | None]:
    def trait(catalog: Catalog) -> Trait | None:
        names = tuple(s.name for s in catalog.values() if s.dtype in kinds)
        return Trait(catalog[names[0]].dtype, names) if names else None

    return trait


def _slices(catalog: Catalog) -> Trait | None:
    names = tuple(
        s.name for s in catalog.values() if s.dtype in ("float16", "bool") or any(p.extent for p in s.stored)
    )
    return Trait(names[0], names) if names else None


TRAITS: dict[str, Callable[[Catalog], Trait | None]] = {
    "": lambda catalog: Trait(""),
    "model-config": _model_config,
    "functional": _functional,
    "recurrent": lambda catalog: _model_with(catalog, "recurrent_kernel"),
    "quantised": lambda catalog: _model_with(catalog, "kernel_scale", "embeddings_scale"),
    "kernels": lambda catalog: _model_with(catalog, "kernel", "embeddings"),
    "slots": _slots,
    "unconfigured-optimizer": _unconfigured,
    "loss-scaled-archive": lambda catalog: _keyed(catalog, "optimizer/inner_optimizer/vars/"),
    "old-archive-keys": lambda catalog: _keyed(catalog, "_layer_checkpoint_dependencies/"),
    "keras-savedmodel": _keras_savedmodel,
    "top-level-layers": _top_level_layers,
    "nested-layers": _nested_layers,
    "slot-paths": lambda catalog: _keyed(catalog, "/.OPTIMIZER_SLOT/"),
    "flat-optimizer": _flat_optimizer,
    "open-conv": _open_conv,
    "closed-conv": _closed_conv,
    "refused-globals": _refused_globals,
    "csr-rebuild": _global("torch._utils._rebuild_sparse_csr_tensor"),
    "numpy-new-core": _global("numpy._core"),
    "zip-1": _attribute("zip_version", lambda v: _number(v) == (1,)),
    "zip-3": _attribute("zip_version", lambda v: _number(v) >= (3,)),
    "protocol-4": _attribute("pickle_protocol", lambda v: isinstance(v, int) and v >= 4),
    "protocol-5": _attribute("pickle_protocol", lambda v: isinstance(v, int) and v >= 5),
    "npy-2": _attribute("npy_version", lambda v: _number(v) >= (2,)),
    "npy-3": _attribute("npy_version", lambda v: _number(v) >= (3,)),
    "float8": _dtypes("float8_e4m3fn", "float8_e5m2"),
    "float8-fnuz": _dtypes("float8_e4m3fnuz", "float8_e5m2fnuz"),
    "float8-scales": _dtypes("float8_e8m0fnu"),
    "float4": _dtypes("float4_e2m1fn", "float4_e2m1fn_x2"),
    "wide-unsigned": _dtypes("uint16", "uint32", "uint64"),
    "complex64": _dtypes("complex64"),
    "int4": _dtypes("int4", "uint4"),
    "sliced": _slices,
}
"""Word -> what finds it; the empty word holds of every file."""
