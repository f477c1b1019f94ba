"""Files that Holdfast names and does not read."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from holdfast import NotReadable
from holdfast._formats.foreign import FORMATS, tar_members
from holdfast._formats.registry import format_named, recognise
from holdfast._storage import BytesSource, open_local
from shared import FILES, ZOO, file_cases, needs_files, needs_shared, zoo_cases


def named(raw: bytes) -> str | None:
    found = recognise(BytesSource(raw, "x"))
    return None if found is None else found.name


KINDS = {
    "onnx": "onnx",
    "sb3-zip": "zip",
    "sb2-pkl": "pickle",
    "tf-graphdef": "tf-frozen-graph",
    "equinox-eqx": "equinox",
}


@needs_files
@pytest.mark.parametrize("case", file_cases("other", "tf-v1", "flax-msgpack"), ids=lambda c: c["id"])
def test_public_files_are_named(case):
    path = next(p for p in case["paths"] if not p.endswith(("/checkpoint", ".meta")))
    source, store, _ = open_local(FILES / path)
    found = recognise(source)
    assert found is not None and found.name == KINDS.get(case.get("kind"), case["format"])
    if found.open is None:
        assert found.hint
        with pytest.raises(NotReadable):
            found.read(source, store)


@needs_shared
@pytest.mark.parametrize("case", zoo_cases("flax_msgpack", "tf_checkpoint_v1"), ids=lambda c: c["id"])
def test_zoo_is_named(case):
    wanted = {"flax_msgpack": "flax-msgpack", "tf_checkpoint_v1": "tf-v1"}[case["format"]]
    names = []
    for file in case["files"]:
        found = recognise(open_local(ZOO / case["folder"] / file)[0])
        names.append(found.name if found is not None else None)
    assert wanted in names


def test_every_hint_is_a_sentence():
    for form in FORMATS:
        assert form.open is None and form.hint and form.hint.rstrip().endswith("."), form.name


def test_pickles():
    for protocol in range(6):
        raw = pickle.dumps({"a": [1, 2], "b": "text"}, protocol)
        assert named(raw) == "pickle", protocol
    assert named(b"(this is a text in brackets)") is None


def test_tars():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert named(out.getvalue()) == "torch-tar"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("model.h5")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert named(out.getvalue()) == "tar" and tar_members(BytesSource(out.getvalue(), "x")) == ["model.h5"]


def test_zip_gguf_tensorizer_gzip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("notes.txt", "x")
    assert named(out.getvalue()) == "zip"
    assert named(b"GGUF\x03\0\0\0" + bytes(20)) == "gguf"
    assert named(b"|TZR|" + bytes(20)) == "tensorizer"
    assert named(b"\x1f\x8b\x08" + bytes(20)) == "gzip"


def test_flax():
    serialization = pytest.importorskip("msgspec").msgpack
    ext = __import__("msgspec").msgpack.Ext(1, b"\x93\x91\x01\xa7float32\xc4\x04\0\0\0\0")
    assert named(serialization.encode({"params": {"w": ext}})) == "flax-msgpack"
    assert named(serialization.encode([1, 2, 3])) != "flax-msgpack"


def test_junk_is_nobodys():
    rng = np.random.default_rng(0)
    for size in (1, 3, 17, 600, 5000):
        for _ in range(40):
            raw = rng.bytes(size)
            found = recognise(BytesSource(raw, "x"))
            assert found is None or found.name in ("pickle", "flax-msgpack"), (raw[:8], found)
    assert named(b"") is None and named(b"hello world, this is text\n" * 9) is None


def test_every_name_of_the_vocabulary_is_there():
    for name in (
        "torch-tar",
        "torch-dcp",
        "tf-v1",
        "gguf",
        "onnx",
        "flax-msgpack",
        "pickle",
        "tensorizer",
        "zip",
        "tar",
    ):
        assert format_named(name) is not None, name
