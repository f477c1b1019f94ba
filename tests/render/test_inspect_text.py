from __future__ import annotations

import json
import time

from holdfast._core.spec import TensorSpec
from holdfast._render import Page, render
from holdfast._render.document import inspect_document
from render.builders import EVIL, Made, transformer


def shown(catalog: Made, **options: object) -> str:
    return render(inspect_document(catalog, title="PyTorch zip checkpoint"), **options)


def test_the_document_has_the_fields_of_the_contract() -> None:
    document = inspect_document(transformer(2))
    assert document["schema_version"] == 1
    assert {"path", "format", "attributes", "optimizers", "tensors"} <= set(document)
    assert document["path"] == "run/model.pt"
    for tensor in document["tensors"]:
        assert {"name", "key", "shape", "dtype", "role", "owner", "nbytes"} <= set(tensor)
    first = document["optimizers"][0]
    assert first["learning_rate"] == 3.1e-4
    assert first["groups"][0]["current"]["eps"] == "NaN"
    assert document["attributes"]["loss"] == "Infinity"
    assert document["attributes"]["blob"] == "\\xff\\x00".replace("\\x00", "\x00")
    assert document["totals"]["parameters"] == 1000 * 64 + 2 * 4 * 64 * 64 + 2 * 64 + 1000
    assert json.loads(render(document, "json")) == document


def test_tied_weights_count_once() -> None:
    totals = inspect_document(transformer(1))["totals"]
    assert totals["by_role"]["weight"]["tensors"] == totals["tensors"] - 4  # tied twin, buffer, slot, counter
    assert totals["nbytes"] == sum(row["nbytes"] for row in totals["by_role"].values())


def test_the_tree_tells_the_essentials() -> None:
    text = shown(transformer())
    lines = text.splitlines()
    assert lines[0] == "run/model.pt  PyTorch zip checkpoint"
    assert "149 tensors" in lines[1]
    assert "written by PyTorch >= 2.1" in lines[1]
    assert "AdamW (likely, by its slots) · lr 0.00031 (configured 0.001)" in text
    assert "step 1,200" in text
    assert "layers.{0..23}." in text
    assert "24 ×" in text
    assert text.count("q.weight") == 1
    assert "buffer" in text
    assert "tied" in text
    assert "by dtype" in text


def test_the_table_has_one_line_a_tensor_and_names_owners() -> None:
    text = shown(transformer(2), table=True)
    assert text.count(".attn.") == 8
    assert "slot of model.embed.weight" in text


def test_columns_stand_under_one_another_at_every_width() -> None:
    for width in (60, 100, 200):
        page = Page(width=width)
        lines = shown(transformer(), page=page).splitlines()
        tensors = [line for line in lines if " float32 " in line or " bfloat16 " in line]
        tensors = [line for line in tensors if "by dtype" not in line]
        assert len({max(line.find("float32"), line.find("bfloat16")) for line in tensors}) == 1
        assert all(len(line) <= width for line in lines), width


def test_a_pipe_gets_whole_names() -> None:
    name = "a" * 300
    catalog = Made([TensorSpec(name, (1,), "float32")], files=["f"])
    assert name in shown(catalog, page=Page(width=80, shorten=False))
    assert name not in shown(catalog, page=Page(width=80))


def test_twenty_thousand_tensors_are_bounded_and_quick() -> None:
    specs = [TensorSpec(f"n{i:x}q/w{i % 7}", (i + 1,), "float32") for i in range(20_000)]
    catalog = Made(specs, files=["big"])
    start = time.process_time()
    text = shown(catalog)
    assert time.process_time() - start < 5
    assert len(text.splitlines()) < 230
    assert "more tensors: --all shows them" in text
    assert len(shown(catalog, everything=True).splitlines()) > 20_000


def test_the_number_of_hidden_tensors_is_right() -> None:
    catalog = Made([TensorSpec(f"n{i:x}q", (i + 1,), "float32") for i in range(300)], files=["f"])
    assert "100 more tensors" in shown(catalog)
    assert "100 more tensors" in shown(catalog, table=True)


def test_hostile_names_reach_the_terminal_as_escapes_only() -> None:
    catalog = Made([TensorSpec(EVIL, (1,), "float32")], files=[EVIL], attributes={EVIL: EVIL, "writer": EVIL})
    for table in (False, True):
        text = shown(catalog, page=Page(width=100, color=False, shorten=False), table=table)
        assert not any(ord(c) < 32 and c != "\n" for c in text)
        assert "\u202e" not in text
        assert "::error" not in [line.strip()[:7] for line in text.splitlines()]
        assert "[bold red]" in text
        text.encode("utf-8")
    assert render(inspect_document(catalog), "json").isascii()


def test_long_names_stand_apart_from_the_next_column_where_they_are_not_shortened() -> None:
    name = "encoder/" + "block/" * 20 + "kernel"
    catalog = Made([TensorSpec(name, (3, 4), "float32"), TensorSpec("b", (1,), "float32")], files=["f"])
    text = shown(catalog, page=Page(width=80, color=False, shorten=False), table=True)
    assert f"{name}  float32" in text
    (line,) = (line for line in text.splitlines() if line.startswith("b "))
    assert line.index("float32") == len(name) + 2
    assert all(
        len(line) <= 80 for line in shown(catalog, page=Page(width=80, color=False), table=True).splitlines()
    )
