"""Vocabularies of live Keras models against those of checkpoints: other words, or the same in another order, are told before
rows of an embedding belong to other words; the same vocabulary, however the layer came to it, is no difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Vault

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
import keras
from keras import layers

from restore.resuming import found, quiet, refused

KINDS = ("text", "string", "integer")
WORDS: dict[str, list[Any]] = {"text": ["a", "b", "c"], "string": ["a", "b", "c"], "integer": [5, 6, 7]}
INPUTS: dict[str, Any] = {
    "text": [["a c"]], "string": [["a"], ["c"]], "integer": [[5], [7]]
}  # fmt: skip


def lookup(kind: str, words: Any = None, **options: Any) -> Any:
    if kind == "text":
        return layers.TextVectorization(output_sequence_length=4, vocabulary=words, name="look", **options)
    cls = layers.StringLookup if kind == "string" else layers.IntegerLookup
    return cls(vocabulary=words, name="look", **options)


def net(kind: str = "string", words: Any = None, *, given: Any = None, seed: int = 0, **options: Any) -> Any:
    """``words``: what it adapted to; ``given``: what the constructor was given."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    look = lookup(kind, given, **options)
    if words is not None:
        look.set_vocabulary(words)
    dtype = "int64" if kind == "integer" else "string"
    return keras.Sequential([keras.Input((1,), dtype=dtype), look, layers.Embedding(12, 3, name="emb")])


def outputs(model: Any, kind: str) -> Any:
    return np.asarray(model(keras.ops.convert_to_tensor(INPUTS[kind])))


def only(path: Path, model: Any) -> Any:
    """The one finding of ``check`` at warning or above."""
    (finding,) = [f for f in holdfast.check(path, model=model).findings if f.severity != "note"]
    return finding


# -- check and restore ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_words_are_no_difference(kind: str, tmp_path: Path) -> None:
    words = WORDS[kind]
    net(kind, words).save(tmp_path / "adapted.keras")
    net(kind, given=words).save(tmp_path / "given.keras")
    for path in (tmp_path / "adapted.keras", tmp_path / "given.keras"):
        quiet(path, model=net(kind, words, seed=1))
        quiet(path, model=net(kind, given=words, seed=1))
        quiet(path, model=net(kind, words, given=[*words[::-1]], seed=1))  # set_vocabulary came after it


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("saved", ("adapted", "given"))
def test_another_order_other_words_more_words(kind: str, saved: str, tmp_path: Path) -> None:
    words, path = WORDS[kind], tmp_path / "m.keras"
    made = net(kind, words) if saved == "adapted" else net(kind, given=words)
    made.save(path)
    text = refused(path, "T225", model=net(kind, [*words[::-1]]))
    assert (
        f"the same 3 terms in another order, term 0 is '{words[0]}' in the checkpoint and '{words[2]}' in"
        in text
    )
    refused(path, "T225", model=net(kind, given=[*words[::-1]]))
    other = 9 if kind == "integer" else "z"
    text = refused(path, "T225", model=net(kind, [words[0], other, words[2]]))
    assert f"1 only in the checkpoint ('{words[1]}') and 1 only in the model ('{other}')" in text
    text = refused(path, "T225", model=net(kind, [*words, other]))
    assert (
        "3 terms in the checkpoint and 4 in the model" in text
        and "those that both have keep their rows" in text
    )
    assert found(path, model=net(kind, [*words, other])) == {"T225"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_adapted_yet_is_told_by_its_size(kind: str, tmp_path: Path) -> None:
    net(kind, WORDS[kind]).save(tmp_path / "m.keras")
    finding = only(tmp_path / "m.keras", net(kind))
    assert (finding.code, finding.severity) == ("T218", "warning") and "vocabulary_size" in finding.message
    holdfast.restore(tmp_path / "m.keras", model=net(kind))
    net(kind).save(tmp_path / "empty.keras")
    assert found(tmp_path / "empty.keras", model=net(kind, WORDS[kind])) == {"T218"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_remedy_gives_the_layer_the_words_of_the_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    saved = net(kind, WORDS[kind])
    saved.save(path)
    model = net(kind, [*WORDS[kind][::-1]], seed=1)
    finding = only(path, model)
    assert finding.cause == "preprocessing" and finding.edit == "function:look"
    eval(finding.remedy.split("`")[1], {"model": model, "holdfast": holdfast})
    quiet(path, model=model)
    assert np.array_equal(outputs(model, kind), outputs(saved, kind))


def test_the_edit_says_that_the_other_one_is_meant(tmp_path: Path) -> None:
    net("string", ["a", "b", "c"]).save(tmp_path / "m.keras")
    model = net("string", ["c", "b", "a"])
    quiet(tmp_path / "m.keras", allow=("function:look",), model=model)
    assert model.get_layer("look").get_vocabulary()[1:] == ["c", "b", "a"]


@pytest.mark.parametrize(
    "options",
    [
        {"num_oov_indices": 0}, {"num_oov_indices": 3}, {"mask_token": "[M]"}, {"mask_token": "", "oov_token": "?"},
        {"output_mode": "multi_hot"}, {"invert": True}, {"max_tokens": 12},
    ],
)  # fmt: skip
def test_whatever_stands_before_the_words(options: dict[str, Any], tmp_path: Path) -> None:
    def made(words: list[str]) -> Any:
        keras.backend.clear_session()
        look = lookup("string", **options)
        look.set_vocabulary(words)
        dtype = "int64" if "invert" in options else "string"
        return keras.Sequential([keras.Input((1,), dtype=dtype), look])

    made(["a", "b"]).save(tmp_path / "m.keras")
    assert found(tmp_path / "m.keras", model=made(["a", "b"])) == set()
    assert found(tmp_path / "m.keras", model=made(["b", "a"])) == {"T225"}
    with holdfast.open(tmp_path / "m.keras") as checkpoint:
        assert checkpoint.vocabulary("look") == ["a", "b"]


def test_words_that_a_file_of_lines_cannot_hold(tmp_path: Path) -> None:
    words = ["x\ny", "c\u2028d", "z", ""]
    net("string", words).save(tmp_path / "m.keras")
    quiet(tmp_path / "m.keras", model=net("string", words))
    assert "T225" in found(tmp_path / "m.keras", model=net("string", ["z", "x\ny", "c\u2028d", ""]))


def nested(words: list[str], more: list[str]) -> Any:
    """Several lookups of one class: one that the constructor was given, two that were adapted, one of these in a model."""
    keras.backend.clear_session()
    text = keras.Input((1,), dtype="string")
    inner = keras.Sequential(
        [keras.Input((1,), dtype="string"), layers.StringLookup(name="deep")], name="inner"
    )
    inner.layers[0].set_vocabulary(words)
    given, adapted = layers.StringLookup(vocabulary=["q"], name="given"), layers.StringLookup(name="adapted")
    adapted.set_vocabulary(more)
    joined = layers.Concatenate()([inner(text), given(text), adapted(text)])
    return keras.Model(text, layers.Embedding(9, 2)(joined))


def test_each_layer_has_its_own_words(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    nested(["x", "y"], ["u", "v"]).save(path)
    with holdfast.open(path) as checkpoint:
        assert [checkpoint.vocabulary(n) for n in ("inner/deep", "deep", "given", "adapted")] == [
            ["x", "y"], ["x", "y"], ["q"], ["u", "v"],
        ]  # fmt: skip
        with pytest.raises(KeyError, match="no vocabulary of a layer of that name"):
            checkpoint.vocabulary("other")
    quiet(path, model=nested(["x", "y"], ["u", "v"]))
    model = nested(["y", "x"], ["u", "v"])
    finding = only(path, model)
    assert finding.where.tensor == "inner/deep"
    eval(finding.remedy.split("`")[1], {"model": model, "holdfast": holdfast})
    quiet(path, model=model)
    assert only(path, nested(["x", "y"], ["u", "w"])).where.tensor == "adapted"


@keras.saving.register_keras_serializable("vocabulary-tests")
class Reader(keras.Model):
    """A class of the user's own: its configuration lists none of its layers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.text = layers.TextVectorization(output_sequence_length=4)
        self.ids = [layers.StringLookup(), layers.StringLookup(mask_token="")]
        self.table = layers.Embedding(12, 3)
        self.drop = layers.Dropout(0.1, seed=1)

    def call(self, x: Any) -> Any:
        return self.drop(self.table(self.text(x)))

    def build(self, shape: Any) -> None:
        self.built = True


@keras.saving.register_keras_serializable("vocabulary-tests")
class Block(layers.Layer):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.look = layers.StringLookup()
        self.table = layers.Embedding(12, 3)

    def call(self, x: Any) -> Any:
        return self.table(self.look(x))


def reader(words: list[str], ids: list[str]) -> Any:
    keras.backend.clear_session()
    model = Reader()
    model.text.set_vocabulary(words)
    for layer in model.ids:
        layer.set_vocabulary(ids)
    model(keras.ops.convert_to_tensor([["a b"]]))
    return model


def block(words: list[str]) -> Any:
    keras.backend.clear_session()
    layer = Block(name="block")
    layer.look.set_vocabulary(words)
    return keras.Sequential([keras.Input((1,), dtype="string"), layer])


def test_classes_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    reader(["a", "b"], ["q", "r"]).save(path)
    assert found(path, model=reader(["a", "b"], ["q", "r"])) == set()
    assert found(path, model=reader(["a", "b"], ["r", "q"])) == {"T225"}
    model = reader(["b", "a"], ["q", "r"])
    finding = only(path, model)
    assert (finding.code, finding.where.tensor) == ("T225", "text_vectorization")
    eval(finding.remedy.split("`")[1], {"model": model, "holdfast": holdfast})
    assert found(path, model=model) == set()
    block(["a", "b"]).save(path)
    assert found(path, model=block(["a", "b"])) == set()
    finding = only(path, block(["b", "a"]))
    assert finding.code == "T225" and "`layer.set_vocabulary(" in finding.remedy
    refused(path, "T225", model=block(["b", "a"]))


def test_an_archive_that_was_unpacked(tmp_path: Path) -> None:
    import zipfile

    net("string", ["a", "b", "c"]).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        archive.extractall(tmp_path / "folder")
    quiet(tmp_path / "folder", model=net("string", ["a", "b", "c"]))
    refused(tmp_path / "folder", "T225", model=net("string", ["b", "a", "c"]))


def test_a_vocabulary_that_cannot_be_read_is_no_traceback(tmp_path: Path) -> None:
    import zipfile

    net("string", ["a", "b", "c"]).save(tmp_path / "m.keras")
    for text in (b"\xff\xfe\xff", b"", b"\n\n"):
        with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(tmp_path / "n.keras", "w") as new:
            for name in old.namelist():
                new.writestr(name, text if name.endswith("vocabulary.txt") else old.read(name))
        assert "T225" not in found(tmp_path / "n.keras", model=net("string", ["c", "b", "a"]))


# -- seal, vault -----------------------------------------------------------------------------------------------------
def test_a_seal_holds_it_for_files_without_words(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = net("string", ["a", "b", "c"])
    model.save_weights(path)
    quiet(path, model=net("string", ["c", "b", "a"]))  # nothing tells
    holdfast.seal(path, model=model)
    quiet(path, model=net("string", ["a", "b", "c"]))
    assert "in another order (a seal or record keeps a digest" in refused(
        path, "T225", model=net("string", ["c", "b", "a"])
    )
    assert "3 terms, and not the same ones" in refused(path, "T225", model=net("string", ["c", "b", "z"]))
    model.save(tmp_path / "m.keras")
    with pytest.raises(holdfast.HoldfastError, match="another order"):
        holdfast.seal(tmp_path / "m.keras", model=net("string", ["c", "b", "a"]))


def test_a_vocabulary_makes_no_variant_of_a_vault(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=net("string", ["a", "b"]), blocking=True)
        vault.save(2, model=net("string", ["b", "a"]), blocking=True)
        vault.save(3, model=net("string", given=["b", "x", "a"]), blocking=True)
        assert len({step.variant for step in vault}) == 1
        with pytest.raises(holdfast.RestoreRefused) as refusal:  # an older step is no answer
            vault.restore(model=net("string", ["a", "b"]))
        assert {f.code for f in refusal.value.findings if f.severity == "error"} == {"T225"}
        outcome = vault.restore(model=net("string", ["b", "x", "a"]))
        assert outcome is not None and outcome.passed_over == ()


def test_what_preprocess_puts_back_does_not_stand_against_it(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        model = net("string", ["a", "b", "c"])
        step = vault.save(1, model=model, preprocess={"look": model.get_layer("look")}, blocking=True).wait()

        def restored(way: Any) -> None:
            other = net("string", ["c", "a", "b"], seed=1)
            outcome = way(other, {"look": other.get_layer("look")})
            assert [f.code for f in outcome.findings if f.code in ("T225", "D504")] == ["D504"]
            assert [str(word) for word in other.get_layer("look").get_vocabulary()][1:] == ["a", "b", "c"]
            assert np.array_equal(outputs(other, "string"), outputs(model, "string"))

        restored(lambda other, given: vault.restore(model=other, preprocess=given))
        restored(lambda other, given: holdfast.restore(step, model=other, preprocess=given))
        other = net("string", ["c", "a", "b"])
        given = {"look": other.get_layer("look")}
        report = holdfast.check(step, model=other, preprocess=given)
        assert [f.code for f in report.findings if f.severity == "error"] == ["D504"]
        with pytest.raises(holdfast.RestoreRefused):
            vault.restore(model=other)  # nothing puts it back
        with pytest.raises(holdfast.RestoreRefused):  # another layer's state says nothing of this one
            vault.restore(model=other, preprocess={"look": lookup("string", ["a"])})


# -- diff -----------------------------------------------------------------------------------------------------------
def test_diff_of_two_files(tmp_path: Path) -> None:
    for name, words in (("a", ["a", "b", "c"]), ("b", ["c", "b", "a"]), ("c", ["a", "b", "c"])):
        net("string", words).save(tmp_path / f"{name}.keras")
    delta = holdfast.compare(tmp_path / "a.keras", tmp_path / "b.keras")
    (difference,) = delta.differences
    assert (difference.code, difference.a, difference.b) == ("T225", "look", "look")
    assert difference.evidence["first"][0] == {"at": 0, "a": "a", "b": "c"}
    assert difference.evidence["entries"] == {"a": 3, "b": 3} and difference.evidence["same_terms"] is True
    assert holdfast.compare(tmp_path / "a.keras", tmp_path / "c.keras").differences == ()
