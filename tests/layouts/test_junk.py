"""What a file is that is no checkpoint."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast._formats.junk import classify
from holdfast._formats.registry import recognise
from holdfast._storage import BytesSource, open_local
from shared import FILES, file_cases, needs_files

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 123456\n"


@pytest.mark.parametrize(
    ("raw", "name", "slug", "word"),
    [
        (b"", "m.pt", "empty-file", "empty"),
        (bytes(100_000), "m.pt", "zero-file", "zero"),
        (b"<!DOCTYPE html><html><head><title>Sign in - Hub</title>", "m.pt", "html-page", "Sign in - Hub"),
        (b"\n  <HTML><body>quota", "m.pt", "html-page", "HTML"),
        (LFS, "m.safetensors", "lfs-pointer", "123456"),
        (b'{"error": "Repository not found"}', "m.pt", "error-document", "Repository"),
        (
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "m.h5",
            "error-document",
            "AccessDenied",
        ),
        (b"Invalid username or password.", "m.bin", "error-document", "Invalid"),
        (
            b"Access to model meta-llama/Llama-2-7b is restricted. You must be authenticated to access it.",
            "m.safetensors",
            "error-document",
            "restricted",
        ),
        (b"Your link to https://cdn.example.org/m.pt has expired", "m.pt", "error-document", "expired"),
        (b"See team/models for the weights, ask Anna.", "m.pt", "not-recognised", "plain text"),
        (b"My runs/best model (3).h5", "model.h5", "not-recognised", "plain text"),
        (b"../My Drive/best model.h5", "model.h5", "not-recognised", "symbolic link"),
        (b"\x01\x02\x03\xff" * 99, "m.pt.crdownload", "half-download", "crdownload"),
        (b"\x01\x02\x03\xff" * 99, "m.safetensors.incomplete", "half-download", "incomplete"),
        (b"../../blobs/0a1b2c", "model.h5", "not-recognised", "symbolic link"),
        (b"model_v2.h5", "model.h5", "not-recognised", "symbolic link"),
        (b"\x01\x02\x03\xff" * 99, "m.pt", "not-recognised", "01 02 03 ff"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "m.pt", "not-recognised", "PNG"),
        (b"just some notes\nof mine\n" * 3, "m.pt", "not-recognised", "plain text"),
    ],
)
def test_kinds(raw, name, slug, word):
    source = BytesSource(raw, name)
    assert recognise(source) is None
    fault = classify(source)
    assert fault.slug == slug and word in fault.message and fault.file == name
    assert fault.attributes["remedy"]


def test_pointer_tells_oid_and_size():
    fault = classify(BytesSource(LFS, "m"))
    assert fault.attributes["oid"] == "ab" * 32 and fault.attributes["size"] == 123456


def test_one_byte_among_zeros_is_no_zero_file():
    raw = bytearray(3_000_000)
    raw[1_000_000] = 1
    assert classify(BytesSource(bytes(raw), "m")).slug == "not-recognised"


@pytest.mark.parametrize("how", ["replace", "question", "crlf"])
def test_copies_made_in_text_mode(how):
    import io
    import pickle

    h5py = pytest.importorskip("h5py")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["w"] = np.random.default_rng(0).normal(size=500)
    noise = {"w": np.random.default_rng(0).bytes(2000)}
    raws = [out.getvalue(), pickle.dumps(noise, 3), pickle.dumps(noise, 4)]
    for raw in raws:
        if how == "replace":
            bad = raw.decode("utf-8", "replace").encode()
        elif how == "question":
            bad = raw.decode("utf-8", "replace").replace("\ufffd", "?").encode()
        else:
            bad = raw.replace(b"\r\n", b"\n")
            if bad[:4] != b"\x89HDF":
                continue
        assert classify(BytesSource(bad, "m")).slug == "text-mode-copy"
        assert classify(BytesSource(raw, "m")).slug != "text-mode-copy"


@needs_files
def test_public_mangled_files():
    for case in file_cases("gguf", "torch-legacy"):
        mangled = (case.get("broken") or "").startswith("mangled")
        for path in case["paths"]:
            fault = classify(open_local(FILES / path)[0])
            assert (fault.slug == "text-mode-copy") is mangled, path
