"""Tokenizers as the files that they write themselves: ``tokenizers.Tokenizer`` (one JSON), those of ``transformers`` (what
``save_pretrained`` writes), ``sentencepiece``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from .nest import Captured, Draft, File, owner_of

__all__ = ["KIND", "put", "recognises", "take"]

KIND = "tokenizer"
_JSON, _MODEL = "tokenizer.json", "tokenizer.model"


def recognises(thing: Any) -> bool:
    """Whether it is one of these."""
    if (owner_of(thing), type(thing).__name__) in (
        ("tokenizers", "Tokenizer"),
        ("sentencepiece", "SentencePieceProcessor"),
    ):
        return True
    names = {
        cls.__name__ for cls in type(thing).__mro__ if cls.__module__.partition(".")[0] == "transformers"
    }
    return bool(names & {"PreTrainedTokenizerBase", "ProcessorMixin", "FeatureExtractionMixin"})


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Its files by name."""
    return {file.name: draft.add(file, path) for file in _files(thing)}


def put(thing: Any, captured: Captured) -> Any:
    """In place: the object takes over what its class reads from the files."""
    found = captured.state
    if _JSON in found and owner_of(thing) == "tokenizers":
        thing.__setstate__(found[_JSON])  # what unpickling calls; the bytes are the JSON that to_str() gives
        return thing
    if _MODEL in found and owner_of(thing) == "sentencepiece":
        thing.LoadFromSerializedProto(found[_MODEL])
        return thing
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        for name, data in found.items():
            target = Path(folder, *Path(name).parts[-2:])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        thing.__dict__.update(type(thing).from_pretrained(folder, local_files_only=True).__dict__)
    return thing


def _files(thing: Any) -> list[File]:
    owner = owner_of(thing)
    if owner == "tokenizers":
        return [File(_JSON, thing.to_str().encode())]
    if owner == "sentencepiece" and "sentencepiece" in sys.modules:
        return [File(_MODEL, bytes(thing.serialized_model_proto()))]
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        thing.save_pretrained(folder)
        files = [file for file in sorted(Path(folder).rglob("*")) if file.is_file()]
        return [File(file.relative_to(folder).as_posix(), file.read_bytes()) for file in files]
