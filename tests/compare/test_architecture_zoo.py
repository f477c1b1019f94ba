"""One model saved by many framework versions: its modules are the same, whatever words each version writes."""

from __future__ import annotations

from contextlib import ExitStack

import holdfast
from holdfast._compare.compare import compare_catalogs
from shared import ZOO, needs_shared


@needs_shared
def test_the_same_keras_model_from_tf_1_13_to_keras_3_is_silent() -> None:
    """All but what truly changed: tf.keras 1's LSTM has hard_sigmoid gates by default."""
    told: set[tuple[str, str]] = set()
    with ExitStack() as stack:
        catalogs = {}
        for file in sorted(ZOO.glob("*/*/m.*")):
            if (
                file.suffix in (".keras", ".h5")
                and not file.name.endswith(".weights.h5")
                and "1.2.2" not in str(file)
            ):
                catalog = stack.enter_context(holdfast.open(file))
                if [m.class_name for m in catalog.modules[3:6]] == [
                    "Embedding",
                    "GlobalAveragePooling2D",
                    "LSTM",
                ]:
                    catalogs[file.relative_to(ZOO).as_posix()] = catalog
        assert len(catalogs) >= 20
        last = catalogs[max(name for name in catalogs if name.startswith("keras-3.15"))]
        for name, catalog in catalogs.items():
            for difference in compare_catalogs(catalog, last, depth="header").differences:
                if difference.code in ("T218", "T219"):
                    told.add((name.partition("/")[0], ",".join(difference.evidence["settings"])))
    assert told <= {
        ("tensorflow-1.13.2", "recurrent_activation"),
        ("tensorflow-1.15.0", "recurrent_activation"),
    }


@needs_shared
def test_the_same_pickled_module_from_torch_1_0_to_2_13_is_silent() -> None:
    with ExitStack() as stack:
        files = [*ZOO.glob("torch-*/whole_*/model.pth"), *ZOO.glob("torch-*/whole_optimizer/both.pt")]
        catalogs = [stack.enter_context(holdfast.open(file)) for file in sorted(files)]
        kept = [catalog for catalog in catalogs if len(catalog.modules) == 10]
        assert len(kept) >= 8
        settings = sum(len(module.config) for module in kept[-1].modules)
        assert settings > 30, "there is something to differ"
        for catalog in kept[:-1]:
            found = compare_catalogs(catalog, kept[-1], depth="header").differences
            assert [d.message for d in found if d.code in ("T218", "T219")] == []
