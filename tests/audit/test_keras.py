"""A Keras ``fit`` audited: what it logged is reproduced or taken apart, each planted fault has the right first cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

from audit.digits import RAW, VALID, X, Y, scaled  # noqa: E402
from audit.keras_run import CASES, Run, audited, evaluate, make, train  # noqa: E402
from holdfast._record.probe import make_probe, replay  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("keras") / "run")


@pytest.mark.filterwarnings("error:Even though the `tf.config.experimental_run_functions_eagerly`")
@pytest.mark.parametrize("title, slug, given", CASES, ids=[case[0] for case in CASES])
def test_a_planted_fault_has_the_right_first_cause(run: Run, title: str, slug: str, given) -> None:
    report = audited(run, **given(run))
    assert report.causes, report.summary
    assert report.causes[0].slug == slug
    assert slug in [f.slug for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize("batch", [64, 597])
def test_what_fit_logged_is_reproduced_or_taken_apart(run: Run, batch: int) -> None:
    """``val_*`` exactly those of the epoch's end; ``loss`` and ``accuracy`` running averages in training mode."""

    def both(model: keras.Model) -> dict[str, float]:
        validation = {f"val_{k}": v for k, v in evaluate(model, batch=batch).items()}
        return {**evaluate(model, X, Y), **validation}

    report = audited(run, metrics=run.logs, evaluate=both)
    assert report.verdict == "reproduced", report.summary
    rows = {row.metric.name: row for row in report.rows}
    assert rows["val_loss"].verdict == rows["val_accuracy"].verdict == "reproduced"
    loss = rows["loss"]
    assert loss.verdict == "cannot-compare" and loss.now is not None
    assert sum(amount for amount, _ in loss.parts) == pytest.approx(loss.metric.value - loss.now)
    assert (
        loss.parts[1][0] != 0
    )  # of either sign: dropout costs, and moving statistics lag behind a batch's own


def test_a_probe_leaves_no_trace_and_names_the_layer(tmp_path: Path) -> None:
    model = make()
    held = [np.array(v) for v in model.variables]
    probe = make_probe(model, RAW[VALID][:16], preprocess=scaled)
    assert all(np.array_equal(a, np.array(b)) for a, b in zip(held, model.variables, strict=True))
    assert all("call" not in vars(layer) for layer in (model, *model.layers))
    assert [row.path for row in probe.layers] == ["inner", "norm", "drop", "head", ""]
    assert replay(probe, model, preprocess=scaled).agrees
    other = make(epsilon=1e-2)
    other.set_weights(model.get_weights())
    first = replay(probe, other).first
    assert first is not None and first.path == "norm"
    shifted = replay(probe, model, preprocess=lambda v: scaled(v, 5.0)).first
    assert shifted is not None and shifted.where == "preprocess"


def test_a_probe_of_a_nested_functional_model_with_two_inputs() -> None:
    inner = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, name="deep")], name="block")
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": inner(a) + inner(b)})
    batch = {"a": np.ones((5, 4), np.float32), "b": np.zeros((5, 4), np.float32)}
    probe = make_probe(model, batch)
    assert "block/deep" in [row.path for row in probe.layers]
    assert list(probe.outputs) == ["sum"]
    assert replay(probe, model).agrees
