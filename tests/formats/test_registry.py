"""Recognising imports only the modules that a file can be of: the answer must be the one that asking all would give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast._formats import registry
from holdfast._formats.registry import Format, format_named, formats, recognise
from holdfast._storage import LocalFolder, Source
from holdfast._storage.source import BytesSource
from shared import FILES, ZOO

_OWN = Path(__file__).resolve().parent.parent / "zoo"
_HEADS = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x89HDF\r\n\x1a\n",
    b"\x80\x02}q\x00.",
    b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
    b'{"weight_map": {"a": "b.bin"}}',
    b'\xef\xbb\xbf{"weight_map": {"a": "b.safetensors"}}',
    b'{"weight_map": {"/a/vars": "b.h5"}}',
    b'\x10\0\0\0\0\0\0\0{"__metadata__":{}}',
    b"\x93NUMPY\x01\x00",
    b"\x08\x01\x12\x02\x0a\x00",
    b"\0\0\x02\x08\x01",
    b"GGUF\x03\0\0\0",
)
_TAILS = (b"", b"W\xfb\x80\x8b$uG\xdb", b"\0" * 600, b".")


def _asking_all(source: Source) -> Format | None:
    return next((f for f in formats() if f.recognise(source)), None) if source.size else None


def _files() -> Iterator[Path]:
    for folder in (_OWN, ZOO, FILES):
        if folder.exists():
            yield from sorted(p for p in folder.rglob("*") if p.is_file())[:1500]


def test_real_files_are_recognised_as_if_all_were_asked() -> None:
    seen = set()
    for path in _files():
        with_gates, without = (LocalFolder(path.parent, str(path.parent)).open(path.name) for _ in range(2))
        try:
            found, expected = recognise(with_gates), _asking_all(without)
        finally:
            with_gates.close()
            without.close()
        assert found is expected, path
        seen.add(found.name if found is not None else None)
    assert len(seen) >= 3


@given(st.sampled_from(_HEADS), st.binary(max_size=40), st.sampled_from(_TAILS), st.sampled_from([0, 8, 512]))
@example(b'{"weight_map": {"a": "b.bin"}}', b"", b"", 0)
def test_made_up_files_are_recognised_as_if_all_were_asked(
    head: bytes, middle: bytes, tail: bytes, before: int
) -> None:
    data = b"\0" * before + head + middle + tail
    assert recognise(BytesSource(data)) is _asking_all(BytesSource(data))


def test_names() -> None:
    names = [form.name for form in formats()]
    assert len(set(names)) == len(names)
    assert format_named("safetensors") is next(f for f in formats() if f.name == "safetensors")
    assert format_named("") is None and format_named("no such format") is None


def test_a_safetensors_file_opens_without_the_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    code = (
        "import sys, holdfast; holdfast.open(sys.argv[1]); "
        "print([m for m in ('h5py', 'ml_dtypes', 'importlib.metadata', 'holdfast._formats.torch.zip', "
        "'holdfast._formats.keras.h5') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_formats_of_other_packages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "other_format-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: other-format\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[holdfast.formats]\nother = other_format:FORMAT\n")
    (tmp_path / "other_format.py").write_text(
        "from holdfast._formats.registry import Format\n"
        "FORMAT = Format('other', 'Another format', lambda source: source.head(4) == b'OTHR')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._formats_of.cache_clear()
    registry.formats.cache_clear()
    try:
        found = recognise(BytesSource(b"OTHR and more"))
        assert found is not None and found.name == "other"
        assert format_named("other") is found
    finally:
        monkeypatch.undo()
        sys.modules.pop("other_format", None)
        registry._formats_of.cache_clear()
        registry.formats.cache_clear()
    assert recognise(BytesSource(b"OTHR and more")) is None
