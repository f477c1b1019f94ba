"""Number types that differ between what is stored and what takes it: half, bfloat16, double, integers of another width."""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading, storing_or_alone

_TYPE = (
    r"(?:float|double|half|bfloat|bf|fp|int|uint|DT_)\w*\d*|(?:torch\.)?(?:cuda\.)?(?:Half|Float|Double|BFloat16|Long|Int"
    r"|Byte)(?:Tensor|Storage)?"
)
_WHY = "the checkpoint's numbers are of another type than the variables that take them"
_CAST = "Give both one type: cast after loading (`model.to(dtype)`), or build the model with the type that was saved."

ENTRIES = (
    Entry(
        "two-types-in-one-message",
        "dtype-mismatch",
        ("dtype", "tensorspec"),
        r"(?:supertype|incompatible|mismatch|not match|does not match|do not match|expected|differ|compatible"
        r"|got)\b.{0,300}?dtype[=: ]+['\"<]*(?:tf\.|torch\."
        r"|jnp?\.|np\.)?(?P<a>(?:b?float|int|uint|half|double)\w*).{0,200}?(?:dtype[=: ]+|and |but (?:got |found )?|got "
        r"|to )['\"<]*(?:tf\.|torch\.|jnp?\."
        r"|np\.)?(?!(?P=a)\b)(?P<b>(?:b?float|int|uint|half|double)\w*)",
        why=f"{_WHY}: {{a}} and {{b}}",
        remedy=_CAST,
        where=storing_or_alone,
        weigh=ranked(("dtype-mismatch", 0.6), ("version-mismatch", 0.44), ("shape-mismatch", 0.34)),
        example="load_model: TypeError: No common supertype of TensorSpec(shape=(None,), dtype=tf.float32, name=None) and "
        "TensorSpec(shape=(None,), dtype=tf.float16, name='x').",
    ),
    Entry(
        "type-does-not-match-type",
        "dtype-mismatch",
        (
            "has type ",
            "of type ",
            "to have dtype",
            "conversion requested dtype",
            "tensor of type",
            "can't assign a",
            "cannot assign a",
        ),
        rf"(?:has|of) (?:d?type) ({_TYPE}) that does not match (?:expected )?(?:d?type )?(?:{_TYPE})"
        rf"|to have dtype (?:{_TYPE}).{{0,60}}?(?:{_TYPE})"
        rf"|conversion requested dtype (?:{_TYPE}) for Tensor with dtype (?:{_TYPE})"
        rf"|tensor of type (?:{_TYPE}) (?:into|to|in|for|but|as).{{0,40}}?(?:{_TYPE})|can(?:no"
        rf"|')t assign a (?:torch\.)?(?:{_TYPE}) to a",
        why=_WHY,
        remedy=_CAST,
        where=loading,
        weigh=ranked(("dtype-mismatch", 0.72), ("version-mismatch", 0.46), ("device-mismatch", 0.4)),
        example="saver.restore: ValueError: Tensor conversion requested dtype float32 for Tensor with dtype float64",
    ),
    Entry(
        "type-not-known-to-writer",
        "dtype-mismatch",
        ("bfloat16", "float8", "float16", "half", "int4", "uint4", "e4m3"),
        r"(?:data ?type|dtype|ScalarType|type|kind) ?['\"]?(?:torch\.)?(?:bfloat16|float8\w*|\w*e4m3\w*|u?int4|float16"
        r"|half)['\"]?"
        r"(?: is)? (?:not (?:understood|supported|recognized|known)|unsupported|unknown)"
        r"|(?:unsupported|unknown|unrecognized|no) (?:ScalarType|dtype|data ?type|type|kind):? ['\"]?(?:torch\.)?(?:bfloat16"
        r"|float8\w*|u?int4|half)",
        why="the format (or this version of the library) does not know the number type of the tensors",
        remedy="Cast to float32 before saving, or save in a format that knows the type (safetensors).",
        where=storing_or_alone,
        weigh=ranked(("dtype-mismatch", 0.74), ("version-mismatch", 0.56), ("unserialisable", 0.44)),
        example="TypeError: data type 'bfloat16' not understood (np.load of a checkpoint)",
    ),
    Entry(
        "jax-plain-bfloat16",
        "dtype-mismatch",
        ("jax only supports number and bool dtypes",),
        r"jax only supports number and bool dtypes, got dtype (?P<type>\|?V2|bfloat16|float8\w*|u?int4|void\d*)",
        why="the array's type is {type} in a form that JAX does not know: numpy holds such numbers only by "
        "`ml_dtypes`, and it was read without it (or with another version)",
        remedy="Read with the `ml_dtypes` that JAX was built for, or view the bytes: `array.view(ml_dtypes.bfloat16)`.",
        also=("version-mismatch",),
        weight=0.84,
        example="TypeError: JAX only supports number and bool dtypes, got dtype |V2 in asarray",
    ),
)
