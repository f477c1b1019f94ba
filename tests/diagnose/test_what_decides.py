"""One word in a message that makes another cause the first, and the same message without it."""

from __future__ import annotations

import pytest

from holdfast._diagnose.diagnose import diagnose

TABLE = "DataLossError: Unable to open table file runs/ssd.ckpt: {}"
KEY = "NotFoundError: Key {} not found in checkpoint\n\t [[Node: save_1/RestoreV2 = RestoreV2[dtypes=[DT_FLOAT]]]]"
UNPICKLING = (
    "{}\nTraceback (most recent call last):\n  File 'convert.py', line 8\n    torch.load(path)\n"
    "UnpicklingError: invalid load key, '\\xce'."
)
DENIED = "Unknown: NewRandomAccessFile failed to Create/Open: runs/ssd.ckpt : Access is denied.\n; Input/output error"
ROWS = [
    (
        TABLE.format("Failed precondition: runs/ssd.ckpt: perhaps your file is in a different file format"),
        "not-found",
    ),
    (TABLE.format(DENIED), "not-found"),
    (TABLE.format("Data loss: not an sstable (bad magic number)"), "format-mismatch"),
    (KEY.format("encoder/dense_2/kernel"), "graph-lifecycle"),
    (KEY.format("encoder/Attention_0/bias"), "missing-tensor"),
    (UNPICKLING.format("With the .safetensors file it stops:"), "format-mismatch"),
    (UNPICKLING.format("It stops:"), "corrupt"),
    (
        "leaves = jnp.save('key.npy', jax.random.key(0))\n"
        "TypeError: JAX array with PRNGKey dtype cannot be converted to a NumPy array.",
        "unserialisable",
    ),
    ("TypeError: Cannot interpret 'key<fry>' as a data type", "dtype-mismatch"),
    (
        "model.save('m.h5')\nValueError: can only convert an array of size 1 to a Python scalar",
        "unserialisable",
    ),
    (
        "It resumes from the checkpoint and stops at the first step:\n"
        "RuntimeError: expected dtype float for `end` but got dtype c10::BFloat16",
        "dtype-mismatch",
    ),
    ("Our loader errors since torch 2.6, because of weights_only=True; it is False now", "unsafe-pickle"),
    (
        "The checkpoint is there only on the master node, and the other nodes stop when they load it",
        "topology",
    ),
    ("Saving a checkpoint is not atomic: a partially written file is left when the job is killed", "incomplete-save"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "label"), ROWS)
def test_the_first_cause(text: str, label: str) -> None:
    found = diagnose(text)
    assert found.is_checkpoint_failure
    assert [cause.label for cause in found.causes][:1] == [label]


@pytest.mark.parametrize(
    "text",
    [
        "a = np.zeros(3)\nfloat(a)\nValueError: can only convert an array of size 1 to a Python scalar",
        "y = torch.lerp(x.half(), z, 0.5)\nRuntimeError: expected dtype c10::Half for `end` but got dtype float",
        "The counter is not atomic, so that two threads may both see the old value",
        "The licence server runs only on the first node, and other nodes ask it",
    ],
)
def test_what_has_nothing_to_do_with_checkpoints(text: str) -> None:
    assert not diagnose(text).is_checkpoint_failure


@pytest.mark.parametrize(
    ("text", "label", "remedy"),
    [
        (
            "_pickle.UnpicklingError: Trying to load unsupported GLOBAL os.system whose module os is blocked.",
            "unsafe-pickle",
            "Do not load it",
        ),
        (
            "_pickle.UnpicklingError: Trying to instantiate for unrecognized class <class 'net.Head'>",
            "unsafe-pickle",
            "add_safe_globals",
        ),
        (
            "ValueError: The instantiator 'pkg.build' from the checkpoint is not in the allowlist of trusted instantiators "
            "and was blocked to prevent arbitrary code execution.",
            "unsafe-pickle",
            "_ALLOWED_INSTANTIATORS",
        ),
        (
            "ValueError: The class 'pkg.Net' requested by the checkpoint does not resolve to an already imported subclass of "
            "LightningModule and was blocked to prevent arbitrary code execution.",
            "unsafe-pickle",
            "`pkg.Net`",
        ),
        (
            "`ModelCheckpoint(save_last='link')` is only supported for local file paths, got `dirpath=gs://b/run`.",
            "storage",
            "save_last=True",
        ),
        (
            "RuntimeError: Can not safely load weights when explicit pickle_module is specified",
            "unsafe-pickle",
            "out",
        ),
        *(
            (
                f"_pickle.UnpicklingError: Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL {name} "
                f"was not an allowed global by default. Please use `torch.serialization.add_safe_globals([{name}])` to allowlist",
                "unsafe-pickle",
                remedy,
            )
            for name, remedy in (
                ("builtins.eval", "do not load it in any way"),
                ("eval", "do not load it in any way"),
                ("subprocess.Popen", "do not load it in any way"),
                ("argparse.Namespace", "add_safe_globals([argparse.Namespace])"),
                ("my.models.Net", "add_safe_globals([my.models.Net])"),
            )
        ),
        ("Exception: Untrusted repository.", "unsafe-pickle", "trust_repo=True"),
        ("ValueError: pickle protocol must be <= 4", "version-mismatch", "protocol=4"),
        ("pickle.load(f)\nModuleNotFoundError: No module named 'copy_reg'", "version-mismatch", "copyreg"),
        (
            "pickle.load(f)\nAttributeError: Can't get attribute '_create_code' on <module 'dill._dill' from 'x'>",
            "version-mismatch",
            "pip install dill==",
        ),
        (
            "RuntimeError: Serialized schema version 5.3 does not match our current schema version 8.9.",
            "version-mismatch",
            "torch_version",
        ),
        (
            "nnx.merge(graphdef, ckptr.restore(checkpoint))\n"
            "ValueError: Incorrect number of leaves: expected 12 leaves in the state, got 10",
            "missing-tensor",
            "nnx.state(model)",
        ),
        (
            "OSError: Can't read data (can't open directory: /usr/lib/hdf5/plugin)",
            "version-mismatch",
            "hdf5plugin",
        ),
    ],
)
def test_what_is_to_be_done_follows_the_message(text: str, label: str, remedy: str) -> None:
    first = diagnose(text, files=False).causes[0]
    assert first.label == label and remedy in first.remedy


def test_causes_told_by_one_sentence_are_told_by_their_titles_further_down() -> None:
    causes = diagnose("RuntimeError: Malformed Flatbuffer module", files=False).causes
    assert len(causes) > 2
    assert len({cause.why for cause in causes}) == len(causes)
