"""Tokenizers' files beside the weights: cut short, of another version, of another tokenizer.

Messages: tokenizers (Rust), transformers/tokenization_utils*.py, sentencepiece.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone

ENTRIES = (
    Entry(
        "tokenizer-model-unread",
        "corrupt",
        (
            "sentencepiece_processor.cc",
            "could not parse modelproto",
            "parsefromarray(serialized",
            "converting from tiktoken failed",
            "couldn't instantiate the backend tokenizer",
            "loadfromfile",
            "sentencepieceprocessor_loadfromfile",
        ),
        r"sentencepiece_processor\.cc|could not parse ModelProto|ParseFromArray\(serialized"
        r"|Converting from Tiktoken failed|Couldn't instantiate the backend tokenizer|LoadFromFile.{0,200}TypeError: not a string"
        r"|TypeError: not a string.{0,200}LoadFromFile",
        why="the tokenizer's model file is not whole (a Git-LFS pointer, a page), is not there, or is of another kind",
        remedy="Get tokenizer.model again and compare its size with the source; install `sentencepiece` where it is missing.",
        weigh=ranked(
            ("corrupt", 0.72),
            ("version-mismatch", 0.66),
            ("not-found", 0.64),
            ("incomplete-save", 0.6),
            ("format-mismatch", 0.5),
        ),
        test="whole",
        example="RuntimeError: Internal: could not parse ModelProto from /m/tokenizer.model",
    ),
    Entry(
        "tokenizer-file-absent",
        "incomplete-save",
        ("tokenizer", "vocab.", "merges.txt", "spiece.model", "sentencepiece"),
        r"(?:File not found|Missing|Cannot find|Could not find|not found:?|No such file or directory):? ?"
        r"['\"]?(?P<path>[^'\"\n:]{0,200}"
        r"(?:tokenizer\.(?:model|json)|tokenizer_config\.json|vocab\.(?:json|txt)|merges\.txt|spiece\.model|sentencepiece\.bpe"
        r"\.model))",
        why="the folder has the weights without the tokenizer's file ({path}), which is saved apart from them",
        remedy="`tokenizer.save_pretrained(FOLDER)`, or copy the file from the base model.",
        where=loading_or_alone,
        weigh=ranked(("incomplete-save", 0.82), ("not-found", 0.8), ("format-mismatch", 0.6)),
        test="whole",
        example="FileNotFoundError: File not found: models/merged/tokenizer.model",
    ),
    Entry(
        "tokenizer-json-cut",
        "corrupt",
        (
            "eof while parsing",
            "stream did not contain valid utf-8",
            "expected value at line",
            "trailing characters at line",
            "control character (\\\\u0000-",
            "expected `,` or `}` at line",
            "invalid type: ",
        ),
        r"EOF while parsing|stream did not contain valid UTF-8|(?:expected value|trailing characters|expected `,` or `}`) "
        r"at line \d+"
        r"|invalid type: \w+.{0,80}? at line \d+ column \d+",
        why="a JSON beside the weights (tokenizer, index, header) is cut short, empty, or another kind of file",
        remedy="Get it again, and compare its size with the source.",
        where=loading_or_alone,
        weigh=ranked(
            ("corrupt", 0.78), ("incomplete-save", 0.68), ("version-mismatch", 0.55), ("format-mismatch", 0.5)
        ),
        test="whole",
        example="    tokenizer = AutoTokenizer.from_pretrained(path)\nException: EOF while parsing a value at line 1 column 0",
    ),
    Entry(
        "tokenizer-added-tokens",
        "version-mismatch",
        (
            "non-consecutive added token",
            "unk_token cannot be",
            "couldn't build proto file into descriptor pool",
        ),
        "",
        why="the tokenizer's added tokens were saved by another version, or for another vocabulary",
        remedy="Take the tokenizer's files from the source of the model, or the version that saved them.",
        also=("preprocessing", "shape-mismatch"),
        weight=0.82,
        example="AssertionError: Non-consecutive added token '<mask>' found. Should have index 50265",
    ),
    Entry(
        "tokenizer-of-another",
        "preprocessing",
        (
            "the tokenizer class you load from this checkpoint",
            "vocab size mismatch",
            "vocab_size mismatch",
            "tokenizer mismatch",
            "size of the vocabulary",
            "incorrect regex pattern",
        ),
        r"The tokenizer class you load from this checkpoint"
        r"|(?:vocab size|vocab_size) mismatch|tokenizer mismatch|incorrect regex pattern",
        why="the tokenizer is not the one that the model was trained with (class, vocabulary or added tokens differ)",
        remedy="Load the tokenizer that was saved with the model, before the weights, and resize the embeddings to it.",
        also=("shape-mismatch", "version-mismatch", "format-mismatch"),
        weight=0.8,
        where=loading_or_alone,
        example=(
            "The tokenizer class you load from this checkpoint is not the same type as the class this function is called "
            "from."
        ),
    ),
)
