"""TensorFlow: graphs that are imported from a file, and the operations and arguments that they name.

Messages: tensorflow/core/framework/{node_def_util,op}.cc, tensorflow/core/graph/graph_constructor.cc,
tensorflow/python/framework/{importer,meta_graph,op_def_registry,ops}.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked

_OWN = re.compile(
    r"V\d+$|Grad$|Dataset|^(?:Decode|Ragged|Stateless|TensorList|Resource|Read|Parse|Quantize|FakeQuant|Sparse|Random"
    r"|FusedBatchNorm|"
    r"Conv|DepthwiseConv|MaxPool|AvgPool|Placeholder|Lookup|HashTable|MutableHash|Gather|Matrix|Unicode|String|Summary|Image|"
    r"Softmax|Relu|Bias|Mat|Batch|Unique|Segment|Variable|Assign|Save|Restore|Merge|Shard|Switch|Identity|Const|Fill|Range|Pack|"
    r"Concat|Split|Slice|Pad|Tile|Transpose|Reshape|Expand|Squeeze|TopK|NonMax|Crop|Adjust|RFFT|Apply|Queue|FIFO|Stage|Print|"
    r"Assert|Check|PyFunc|Stop|Prevent|Add|Sub|Mul|Div|Sqrt|Rsqrt|Log|Exp|Sigmoid|Tanh|Mean|Sum|Prod|Max|Min|Arg|LRN|"
    r"Audio|Resize|Select|StridedSlice|Shape|Partitioned|If|While|Case|Einsum|Roll|Where|DivNoNan|LeakyRelu|Iterator|Arg)"
)
"""Names as TensorFlow's own operations bear them."""
_GPU_ONLY = re.compile(r"Cudnn|Nccl|_Fused|FusedConv|NCHW|TRTEngine", re.IGNORECASE)


def unknown_op(look: Look) -> list[Guess]:
    """TensorFlow's own operation is of another version; another one is of a library that is not loaded."""
    op = look.facts().get("op", "")
    theirs = look.entry.guess(look, "custom-object", confidence=0.86)
    why = f"the saved graph uses `{op}`, which this version of TensorFlow does not have"
    own = look.entry.guess(
        look,
        "version-mismatch",
        confidence=0.8,
        why=why,
        remedy="Use the version that saved, or a newer one.",
    )
    if _OWN.search(op):
        return [
            look.entry.guess(
                look,
                "version-mismatch",
                confidence=0.9,
                why=why,
                remedy="Use the version that saved, or a newer one.",
            ),
            look.entry.guess(look, "custom-object", confidence=0.62),
        ]
    return [theirs, own]


def no_kernel(look: Look) -> list[Guess]:
    """An operation that has kernels for a device only that is not here."""
    op = look.facts().get("op", "")
    here = "" if "GPU" in look.facts().get("devices", "") else " (it has one for GPUs only)"
    why = f"the graph uses `{op}`, and there is no kernel of it for the devices of this process{here}"
    remedy = (
        "Run it where there is a GPU and a build of TensorFlow for it; or build the graph with the operation's portable twin "
        "(CudnnCompatibleLSTMCell for CudnnLSTM, data_format NHWC)."
    )
    if not _GPU_ONLY.search(op):
        return []
    return [
        look.entry.guess(look, confidence=0.97, why=why, remedy=remedy),
        look.entry.guess(look, "version-mismatch", confidence=0.6, why=why, remedy=remedy),
    ]


def graph_or_not(look: Look) -> list[Guess]:
    """A graph in another form; a message that ends too early is a damaged one."""
    short = re.search(r"truncated message|unexpected end", look.reading.lower) is not None
    return [
        look.entry.guess(look, confidence=0.6 if short else 0.88),
        look.entry.guess(look, "corrupt", confidence=0.9 if short else 0.7),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


ENTRIES = (
    Entry(
        "tf-op-not-in-registry",
        "custom-object",
        ("no op named", "keyerror"),
        r"No op named (?P<op>\w+) in defined operations"
        r"|op_dict\[node\.op\].{0,80}?KeyError: u?'(?P<op2>\w+)'"
        r"|(?:import_meta_graph|import_scoped_meta_graph|import_graph_def|op_def_registry|_import_meta_graph\w*)"
        r".{0,1200}?KeyError: u?'(?P<op3>[A-Z]\w+)'"
        r"|KeyError: u?'(?P<op4>[A-Z]\w+)'.{0,300}?(?:import_meta_graph|import_graph_def|op_def_registry)"
        r"|KeyError: u?'(?P<op5>[A-Z]\w+>\w+)'",
        why="the saved graph uses `{op}`, an operation that this program did not load (a custom library, or a part of "
        "tf.contrib)",
        remedy=(
            "Import what defines it before the graph is imported (tf.contrib parts register their operations when they are first "
            "used), or `tf.load_op_library(path)`; or build the graph in code and restore only the values."
        ),
        weigh=unknown_op,
        weight=0.86,
        example="ValueError: No op named WarpFlow in defined operations.",
    ),
    Entry(
        "tf-attributes-changed",
        "version-mismatch",
        (
            "no attr named",
            "nodedef missing attr",
            "expected inputs '",
            "producer ",
            "graphdef",
            "checkpoint version",
            "_output_shapes attribute inconsistent",
        ),
        r"No attr named '(?P<attr>\w+)' in NodeDef|NodeDef missing attrs? '(?P<attr2>\w+)'"
        r"|(?:NodeDef )?expected inputs '[^']*' do not match \d+ inputs specified"
        r"|(?:GraphDef|MetaGraphDef|checkpoint|producer) (?:producer )?version \d+ (?:is )?(?:above|below|too)"
        r"|GraphDef.{0,60}min_consumer|GraphDef-interpreting binary is up to date"
        r"|_output_shapes attribute inconsistent with the GraphDef",
        why="an operation of the saved graph has other arguments than in this version of TensorFlow ({attr}): one of "
        "them is newer",
        remedy=(
            "Load it with the version that saved it (or a newer one); a graph that was frozen by an old version: "
            "freeze it anew from "
            "the checkpoint. When exporting for older readers: strip_default_attrs=True."
        ),
        weight=0.9,
        also=("custom-object", "format-mismatch"),
        example="NotFoundError: No attr named 'dilations' in NodeDef: [[Node: c = Conv2D[T=DT_FLOAT](x, w)]]",
    ),
    Entry(
        "tf-operation-of-tpu",
        "device-mismatch",
        ("'tpu", "'_tpu", "configuredistributedtpu", "infeed", "outfeed"),
        r"(?:registered to support Op|Op type not registered|KeyError:?) u?'(?P<op>_?(?:TPU|ConfigureDistributedTPU)\w+"
        r"|\w*(?:Infeed|Outfeed)\w+)'",
        why="the graph was exported for TPUs (`{op}`), and this process has none",
        remedy="Export it for the CPU (`export_to_tpu=False`, tags `serve` alone), or restore the checkpoint into the graph "
        "of a plain Estimator (`use_tpu=False`).",
        weigh=ranked(("device-mismatch", 0.96), ("version-mismatch", 0.66), ("custom-object", 0.4)),
        example="InvalidArgumentError: No OpKernel was registered to support Op 'TPUReplicateMetadata'",
    ),
    Entry(
        "tf-no-kernel-here",
        "device-mismatch",
        ("no opkernel was registered", "does not have registered opkernel", "no registered kernels"),
        r"No OpKernel was registered to support Op '(?P<op>\w+)'(?:.{0,160}?Registered devices: \[(?P<devices>[^\]]*)\])?"
        r"|does not have registered OpKernel support for (?P<op2>\w+)",
        why="the graph uses `{op}`, and there is no kernel of it for the devices of this process",
        remedy="Run it where there is such a device.",
        weigh=no_kernel,
        weight=0.9,
        example=(
            "InvalidArgumentError: No OpKernel was registered to support Op 'CudnnRNN' used by node rnn with these attrs. "
            "Registered devices: [CPU], Registered kernels: <no registered kernels>"
        ),
    ),
    Entry(
        "tf-references-frozen",
        "graph-lifecycle",
        ("_ref", "ref type", "graph_def is invalid at node"),
        r"graph_def is invalid at node u?'(?P<node>[\w/.\-]+)'|to an input of type (?P<want>\w+_ref)"
        r"|(?:passed|was passed) \w+ (?:from \S+ )?(?:incompatible with )?expect(?:ed|s) (?:ref type|\w+_ref)",
        why=(
            "the graph was taken apart: nodes that assign to variables are left (of training, of batch normalisation), and the "
            "variables have become constants"
        ),
        remedy=(
            "Freeze a graph that was built for inference, without optimizer and update operations, or remove the training nodes "
            "(tf.compat.v1.graph_util.remove_training_nodes) before it is imported."
        ),
        weigh=ranked(("graph-lifecycle", 0.7), ("version-mismatch", 0.68), ("format-mismatch", 0.46)),
        example=(
            "ValueError: graph_def is invalid at node 'bn/AssignMovingAvg': Input tensor 'bn/moving_mean:0' Cannot "
            "convert a tensor "
            "of type float32 to an input of type float32_ref."
        ),
    ),
    Entry(
        "tf-graph-read-as-other",
        "format-mismatch",
        (
            'message type "tensorflow.',
            "_parse_input",
            "text_format",
            "decodeerror",
            "error parsing message",
        ),
        r"Message type \"tensorflow\.\w+\" has no field named|_parse_input\w*_proto.{0,400}?(?:UnicodeDecodeError"
        r"|DecodeError|ParseError)"
        r"|text_format\.(?:Merge|Parse).{0,300}?(?:UnicodeDecodeError|ParseError)"
        r"|(?:graph|Graph)_?(?:def|Def)\w*\.ParseFromString.{0,300}?DecodeError|DecodeError.{0,80}?ParseFromString"
        r"|Error parsing message with type 'tensorflow\.\w+'",
        why="a graph in text form (`.pbtxt`) was read as binary, or the other way, or the file is no graph",
        remedy=(
            "`.pb` is binary (freeze_graph: --input_binary=true), `.pbtxt` is text; a `saved_model.pb` belongs to "
            "tf.saved_model.load, a `.meta` to import_meta_graph. `holdfast FILE` says what it is."
        ),
        weigh=graph_or_not,
        test="whole",
        example='google.protobuf.text_format.ParseError: 1:1 : Message type "tensorflow.GraphDef" has no field named "PK".',
    ),
    Entry(
        "tf-output-not-in-graph",
        "not-found",
        ("is not in graph",),
        r"(?:AssertionError: |: |^)(?P<node>[\w/.\-:]+) is not in graph",
        why="the frozen graph is to end at `{node}`, and the graph has no node of that name",
        remedy=(
            "List the nodes (`[n.name for n in graph_def.node]`); give operations' names, without `:0`, in the scope in which "
            "they were built."
        ),
        weigh=ranked(("not-found", 0.64), ("renamed", 0.62), ("graph-lifecycle", 0.58)),
        example="AssertionError: dnn/head/logits is not in graph",
    ),
)
