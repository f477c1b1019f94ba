"""Archives, compressed streams and small text files around a checkpoint: what zipfile, tarfile, gzip, zlib, lzma, bz2, json and
yaml of Python say of them.

Messages: Lib/{zipfile,tarfile,gzip,_compression,bz2,lzma,json/decoder}.py, zlib's own, yaml/{constructor,scanner,representer}.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, saving

_AGAIN = "Get the file again, or take an older checkpoint: `holdfast FILE` says what it is and how much of it is there."


def of_a_stream(look: Look) -> list[Guess]:
    """Bytes that do not decode: damaged; or of another compression from the first byte on."""
    said = look.match[0].lower()
    if re.search(
        r"incorrect header check|input format not supported|not a (?:gzip|bzip2|lzma|xz|zstd)", said
    ):
        why = "the file is not compressed in the way that it is read"
        return [
            look.entry.guess(look, "format-mismatch", confidence=0.82, why=why),
            look.entry.guess(look, confidence=0.78),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ]
    sure = 0.84 if look.around.loading else 0.34
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "incomplete-save", confidence=sure * 0.8),
        look.entry.guess(look, "format-mismatch", confidence=sure * 0.6),
    ]


def of_text(look: Look) -> list[Guess]:
    """A settings file that is cut or empty, or no JSON at all."""
    if not re.search(
        r"trainer_state|index\.json|config\.json|metadata|_state\.json|\.json\b|checkpoint|ckpt|state",
        look.reading.lower,
    ):
        return []
    rows = (("corrupt", 0.78), ("incomplete-save", 0.68), ("format-mismatch", 0.6))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "compressed-damaged",
        "corrupt",
        (
            "bad magic number for",
            "truncated central directory",
            "truncated file header",
            "overlapped entries",
            "and header b",
            "corrupt zip64",
            "corrupt extra field",
            "corrupt input data",
            "invalid data stream",
            "incorrect length of data produced",
            "compressed data ended before",
            "unexpected end of data",
            "truncated header",
            "compressed file ended before",
            "while decompressing data",
            "input format not supported by decoder",
            "bad checksum",
        ),
        r"Bad magic number for (?:central directory|file header)|Truncated (?:central directory|file header)"
        r"|File name in directory .{1,160}? and header b.{1,160}? differ|Overlapped entries: "
        r"|Corrupt (?:zip64|extra field)|LZMAError: Corrupt input data|OSError: Invalid data stream"
        r"|Incorrect length of data produced|Compressed data ended before|ReadError: (?:unexpected end of data|truncated header"
        r"|bad checksum)|Compressed file ended before|Error -\d while decompressing data: [\w /]{1,60}"
        r"|LZMAError: Input format not supported by decoder",
        why="the archive's bytes do not decode: it is cut short, damaged, or was written by several processes",
        remedy=_AGAIN,
        where=loading,
        weigh=of_a_stream,
        test="whole",
        example="np.load('ckpt.npz')\nzipfile.BadZipFile: Truncated file header",
    ),
    Entry(
        "archive-locked-by-password",
        "format-mismatch",
        ("is encrypted, password required", "compression method is not supported"),
        r"is encrypted, password required for extraction|That compression method is not supported",
        why="the archive is encrypted, or compressed in a way that this Python does not read: no library of models wrote it so",
        remedy="Unpack it with the program that packed it, and load what is in it.",
        where=loading,
        weigh=ranked(("format-mismatch", 0.78), ("version-mismatch", 0.6), ("other", 0.5)),
        test="whole",
        example="load checkpoint.zip\nRuntimeError: File 'model.pt' is encrypted, password required for extraction",
    ),
    Entry(
        "json-beside-the-weights",
        "corrupt",
        (
            "jsondecodeerror",
            "delimiter: line",
            "unterminated string starting",
            "extra data: line",
            "expecting value: line",
            "expecting property name",
        ),
        r"JSONDecodeError: (?:Expecting|Unterminated string|Extra data|Invalid (?:control character|\\)|Illegal)[^\n]{0,120}"
        r"|(?:Expecting (?:value|property name[^:]{0,40}|'.' delimiter)|Unterminated string starting at|Extra data): "
        r"line \d+ column \d+",
        why="a file of settings or an index beside the weights is no whole JSON: it was cut off, or is empty",
        remedy="`python -m json.tool FILE` says where it breaks off; take it from an older checkpoint, or from the library.",
        where=loading,
        weigh=of_text,
        test="whole",
        example=(
            "load checkpoint trainer_state.json\njson.decoder.JSONDecodeError: Expecting ',' delimiter: "
            "line 9 column 3 (char 90)"
        ),
    ),
    Entry(
        "json-values",
        "unserialisable",
        ("not json compliant", "keys must be str", "cannot represent an object", "is not json serializable"),
        r"not JSON compliant|keys must be str[\w, ]{0,40}, not (?P<kind>\w+)|cannot represent an object",
        why="a value beside the weights (a key of kind {kind}, a NaN, an object) has no form in JSON or YAML",
        remedy="Turn it into plain text and numbers before the save (`str(key)`, `float(x)`, None for NaN).",
        where=saving,
        weigh=ranked(("unserialisable", 0.88), ("custom-object", 0.4), ("metrics", 0.3)),
        example="save_checkpoint: ValueError: Out of range float values are not JSON compliant",
    ),
    Entry(
        "yaml-objects",
        "custom-object",
        ("could not determine a constructor for the tag", "constructorerror"),
        r"could not determine a constructor for the tag '?(?P<tag>[^'\n]{1,120})",
        why="the settings that were saved hold an object of Python (`{tag}`), which a safe reader of YAML does not build",
        remedy="Save settings as plain values; where you trust the file, read it with `yaml.unsafe_load`.",
        where=loading,
        weigh=ranked(("custom-object", 0.82), ("unsafe-pickle", 0.72), ("version-mismatch", 0.66)),
        example=(
            "load_from_checkpoint\nyaml.constructor.ConstructorError: could not determine a constructor for "
            "the tag '!python/a'"
        ),
    ),
)
