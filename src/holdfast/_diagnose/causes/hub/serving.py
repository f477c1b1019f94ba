"""Servers and runtimes of saved graphs: operations, kernels and signatures that are not there.

Messages: tensorflow_serving/core and servables, tensorflow/core/framework/{op,op_kernel}.cc,
tensorflow/python/framework/{ops,importer,function_def_to_graph}.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look

_OF_TENSORFLOW = re.compile(
    r"(?:V\d+|^(?:\w*Dataset\w*|Decode\w+|Ragged\w+|Stateless\w+|Tensor(?:List|Array)\w+|Resource\w+|Read\w+|Parse\w+|Batch\w+|"
    r"Quantized\w+|Sparse\w+|Random\w+|FusedBatchNorm\w*|Einsum|DivNoNan|MulNoNan|LeakyRelu\w*"
    r"|Conv\w+|RFFT\w*|IFFT\w*|Case|If|While|"
    r"StatelessIf|StatelessWhile|PartitionedCall|StatefulPartitionedCall|Lookup\w+|Cumulative\w+|Gather\w+|Matrix\w+|Unicode\w+|"
    r"String\w+|Xla\w+|\w+Hash\w*|Roll|Bincount|Where|Selu\w*|Elu\w*))$"
)
"""Names as TensorFlow's own operations bear them, of one version or another."""


def op_unknown(look: Look) -> list[Guess]:
    """TensorFlow's own operation, of another version; or one of a library that is not loaded."""
    op = look.facts().get("op", "")
    if not op or _OF_TENSORFLOW.search(op):
        return [look.entry.guess(look)]
    why = f"the saved graph uses `{op}`, which is no operation of TensorFlow: its library is not loaded in this program"
    remedy = (
        "Import (in a server: link or `tf.load_op_library`) the package that defines it before loading, in the version it was "
        "saved with: tensorflow_text, tf.contrib, tensorflow_addons, your own."
    )
    return [
        look.entry.guess(look, "custom-object", confidence=0.91, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.8),
    ]


ENTRIES = (
    Entry(
        "tf-op-unknown",
        "version-mismatch",
        (
            "op type not registered",
            "nodedef mentions attr",
            "not in op<name",
            "no opkernel was registered",
            "absent from the c++ registry",
            "graph ops missing from the python registry",
        ),
        r"Op type not registered '(?P<op>[\w>.:]+)'|NodeDef mentions attr '(?P<attr>\w+)' not in Op"
        r"|No OpKernel was registered to support Op '(?P<op2>[\w>.:]+)'"
        r"|Graph ops missing from the python registry \(?\{?'(?P<op3>\w+)'|absent from the C\+\+ registry",
        why=(
            "the saved graph uses an operation (or an argument of one) that this build does not know ({op}): another version, "
            "or a custom library that is not loaded"
        ),
        remedy="Use the version that saved (or a newer), or load the library of custom operations first.",
        also=("custom-object", "device-mismatch"),
        weigh=op_unknown,
        weight=0.9,
        example="NotFoundError: Op type not registered 'RaggedTensorToTensor' in binary running on host",
    ),
    Entry(
        "serving-signature",
        "format-mismatch",
        ("signature", "inputs expected to be"),
        r"serving signature(?: key)? not found|expected '?(?P<want>\w+)'? signature"
        r"|signature (?:key |name )?\"?'?(?P<want2>\w+)'?\"? (?:not found|is not (?:present|found"
        r"|defined))|No (?:default )?signature",
        why="what was exported has no signature of the name that the server asks for ({want})",
        remedy=(
            "`saved_model_cli show --all --dir DIR` lists them; export with "
            "`signatures={{'serving_default': fn}}`, or name the one that is "
            "there in the request."
        ),
        also=("version-mismatch", "missing-tensor"),
        weight=0.82,
        example="FAILED_PRECONDITION: Default serving signature key not found.",
    ),
    Entry(
        "servable-not-there",
        "not-found",
        ("no versions of servable", "servable not found"),
        r"No versions of servable (?P<name>\w+) found under base path (?P<path>\S+)|Servable not found for request",
        why="below the model's folder there is no folder with a number for a name, which is how a server finds versions",
        remedy="Export to `MODEL/1`, `MODEL/2`, ..., and give the server `MODEL`; check that it may read it.",
        also=("format-mismatch", "storage"),
        weight=0.9,
        example=(
            "W file_system_storage_path_source.cc:268] No versions of servable half_plus_two found under "
            "base path /models/half_plus_two"
        ),
    ),
)
