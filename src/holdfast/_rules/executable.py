"""X1: code that a file would run, or needs, when its framework loads it. Holdfast runs none of it."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.fault import Fault
from .._core.finding import Finding, Severity
from .registry import Rule, Subject, rule
from .words import count, few

__all__ = ["is_dangerous", "is_usual"]

# Modules whose functions reach the system, the interpreter or the network: no checkpoint needs them.
_DANGEROUS_MODULES = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "shutil",
        "socket",
        "ctypes",
        "importlib",
        "runpy",
        "code",
        "codeop",
        "pty",
        "commands",
        "pickle",
        "_pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "marshal",
        "types",
        "inspect",
        "urllib",
        "requests",
        "http",
        "ftplib",
        "smtplib",
        "webbrowser",
        "asyncio",
        "multiprocessing",
        "threading",
        "signal",
        "pdb",
        "bdb",
        "timeit",
        "cProfile",
        "profile",
        "trace",
        "pkgutil",
        "zipimport",
        "imp",
        "pip",
        "setuptools",
        "platform",
        "builtins_exec",
        "tempfile",
        "popen2",
        "popen",
        "aiohttp",
        "httplib",
        "xmlrpc",
        "telnetlib",
        "nntplib",
    ]
)
_DANGEROUS_BUILTINS = frozenset(
    [
        "eval",
        "exec",
        "execfile",
        "compile",
        "open",
        "input",
        "__import__",
        "getattr",
        "setattr",
        "delattr",
        "globals",
        "locals",
        "vars",
        "breakpoint",
        "apply",
        "memoryview",
        "file",
        "reload",
        "exit",
        "quit",
    ]
)
_DANGEROUS_NAMES = {
    ("torch", "load"), ("torch.hub", "load"), ("torch.hub", "load_state_dict_from_url"),
    ("torch.serialization", "load"), ("numpy", "load"), ("numpy", "fromfile"),
    ("operator", "attrgetter"), ("operator", "methodcaller"), ("torch.utils.cpp_extension", "load"),
    ("torch.utils.cpp_extension", "load_inline"),
    ("numpy.testing._private.utils", "runstring"), ("torch._dynamo.guards.GuardBuilder", "get"),
}  # fmt: skip
_USUAL_ROOTS = frozenset(
    [
        "torch",
        "torchvision",
        "torchaudio",
        "numpy",
        "collections",
        "argparse",
        "pathlib",
        "datetime",
        "decimal",
        "fractions",
        "uuid",
        "enum",
        "omegaconf",
        "pytorch_lightning",
        "lightning",
        "lightning_fabric",
        "transformers",
        "tensorflow",
        "keras",
        "ml_dtypes",
        "yacs",
        "easydict",
        "fairseq",
        "ultralytics",
        "timm",
        "mmcv",
        "mmengine",
        "sklearn",
        "scipy",
        "pandas",
        "gym",
        "gymnasium",
        "stable_baselines3",
        "copyreg",
        "copy_reg",
        "__main__",
        "logging",
        "random",
        "time",
        "typing",
        "warnings",
        "functools",
        "addict",
        "box",
        "attr",
        "attrs",
        "dataclasses",
        "hydra",
        "peft",
        "accelerate",
        "diffusers",
        "sentence_transformers",
        "speechbrain",
        "espnet",
        "nemo",
        "models",
        "model",
        "utils",
        "networks",
        "net",
    ]
)
_BUILTINS = ("builtins", "__builtin__")


def is_dangerous(module: str, name: str) -> bool:
    """Whether a pickled global reaches the system, the interpreter or the network.

    ``functools.partial`` alone is data; it counts only because it can bind any other function and call it
    later, so it is told apart as a warning by the rule.
    """
    root = module.split(".")[0]
    if module in _BUILTINS:
        return name.split(".")[0] in _DANGEROUS_BUILTINS
    if (module, name) == ("functools", "partial"):
        return False
    return root in _DANGEROUS_MODULES or (module, name) in _DANGEROUS_NAMES


def is_usual(module: str, name: str) -> bool:
    """Whether a global is of the kind that training checkpoints ordinarily carry beside tensors."""
    return module.split(".")[0] in _USUAL_ROOTS or module in _BUILTINS


def _global(fault: Fault) -> tuple[str, str]:
    return str(fault.attributes.get("module", "")), str(fault.attributes.get("name", ""))


@rule("X101", "pickle-global", severity="warning", cause="unsafe-pickle")
def pickle_global(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The pickle names code outside the list that tensors need.

    Loading a pickle imports and calls what it names. Beside tensors, training checkpoints carry argparse
    namespaces, numpy scalars or whole modules; ``torch.load`` refuses all of these by default since 2.6
    (weights_only=True). A name that reaches the system (``os.system``, ``builtins.eval``) has no place in a
    checkpoint: reported as an error. Holdfast reads the tensors around it and runs nothing.

    Evidence: module, name and the opcode position of each.

    What to do: for usual classes, allow exactly them (``with
    torch.serialization.safe_globals([argparse.Namespace]): torch.load(path)``) or export the tensors; never
    load a file with a system call in it.

    Example: ``torch.save({"args": argparse.Namespace(lr=0.1), "model": model.state_dict()}, path)``.
    """
    usual: list[Fault] = []
    strange: list[Fault] = []
    for fault in subject.faults_of("pickle-global"):
        module, name = _global(fault)
        if is_dangerous(module, name):
            yield rule.from_fault(
                fault,
                severity="error",
                message=f"the pickle calls for {module}.{name}: loading this file would run it",
                remedy="Do not load this file with torch.load(weights_only=False) or pickle; ask where "
                "it comes from. "
                "Holdfast can still read its tensors.",
            )
        else:
            (usual if is_usual(module, name) else strange).append(fault)
    plain = subject.catalog is not None and subject.catalog.format == "pickle"
    groups: tuple[tuple[list[Fault], Severity], ...] = ((strange, "warning"), (usual, "note"))
    for faults, severity in groups:
        if not faults:
            continue
        names = list(dict.fromkeys(".".join(filter(None, _global(f))) for f in faults))
        first = faults[0]
        # __main__ and the user's own packages must be importable under the same name at load.
        yield rule.finding(
            f"the pickle names {count(len(names), 'global')} beyond what tensors need: {few(names)}",
            severity=severity,
            file=first.file,
            offset=first.offset if first.offset is not None else first.attributes.get("position"),
            seen=[
                {
                    "module": _global(f)[0],
                    "name": _global(f)[1],
                    "position": f.attributes.get("position", f.offset),
                }
                for f in faults[:50]
            ],
            expected="only what arrays need" if plain else "only what torch.load(weights_only=True) allows",
            remedy=first.attributes.get("remedy") or (_TRUSTED_PLAIN if plain else _TRUSTED),
        )


_TRUSTED = (
    "If you trust them: `torch.serialization.add_safe_globals([...])` with exactly these classes, or "
    "`torch.load(path, weights_only=False)`; for passing on, save `model.state_dict()` alone."
)
_TRUSTED_PLAIN = (
    "If you trust them: pickle.load with the same packages installed; for passing on, save the arrays alone "
    "(safetensors, numpy.savez)."
)


@rule("X102", "pickle-opcode", severity="warning", cause="unsafe-pickle")
def pickle_opcode(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The pickle uses an opcode that tensors do not need.

    Instance and extension opcodes (INST, OBJ, EXT1, …) call code by other ways than the ordinary ones;
    scanners that only look at the ordinary ones miss them. No version of torch.save writes them.

    Evidence: the opcode and its position.

    What to do: do not load the file with its framework; ask where it comes from.

    Example: a hand-made pickle that hides ``os.system`` behind INST.
    """
    for fault in subject.faults_of("pickle-opcode"):
        yield rule.from_fault(
            fault,
            remedy=fault.attributes.get("remedy")
            or "Do not load it with pickle or weights_only=False; ask its source.",
        )


@rule("X103", "lambda-layer", severity="warning", cause="unsafe-pickle")
def lambda_layer(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A Keras Lambda layer carries Python byte code.

    ``keras.layers.Lambda`` stores a marshalled function in the configuration. Loading runs it (Keras asks for
    ``safe_mode=False``), and byte code of one Python version does not run in another.

    Evidence: the layer's name.

    What to do: if you trust the file, ``keras.models.load_model(path, safe_mode=False)`` with the Python
    version that wrote it; better replace the Lambda by a registered layer class. The weights read without
    it.

    Example: ``keras.layers.Lambda(lambda x: x * 2)`` in a saved model.
    """
    for fault in subject.faults_of("lambda-layer"):
        yield rule.from_fault(
            fault,
            remedy=fault.attributes.get("remedy")
            or "If you trust it: `keras.models.load_model(path, safe_mode=False)`; better a registered "
            "layer class instead.",
        )


@rule("X104", "custom-object", severity="note", cause="custom-object")
def custom_object(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The configuration names a class that is not the framework's own.

    ``load_model`` needs the class at hand: imported and registered, or passed in ``custom_objects``. Where
    it was moved or renamed since, loading fails with an unknown class, although the weights are whole.

    Evidence: module, class and registered name.

    What to do: import the code before loading, register the class, or build the model in code and load
    weights only.

    Example: a layer decorated with ``@keras.saving.register_keras_serializable("my_package")``.
    """
    found = list(subject.faults_of("custom-object"))
    names = [
        str(f.attributes.get("name") or f.attributes.get("registered_name") or f.seen or f.message)
        for f in found
    ]
    if found:
        distinct = list(dict.fromkeys(names))
        yield rule.finding(
            found[0].message
            if len(distinct) == 1
            else f"{count(len(distinct), 'custom class')} needed to rebuild the model: "
            f"{few(distinct)}".replace("classs", "classes"),
            file=found[0].file,
            tensor=found[0].tensor,
            seen=distinct[:50],
            remedy=found[0].attributes.get("remedy")
            or "Import the module that defines it before load_model, or pass `custom_objects={...}`; "
            "weights alone need neither.",
        )
