"""X and E: what a pickle or configuration asks for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import holdfast
from holdfast._core.fault import Fault
from holdfast._rules.executable import is_dangerous, is_usual
from memory_catalog import Memory, found, normal, subject


def named(module: str, name: str, position: int = 7) -> Fault:
    return Fault(
        "pickle-global",
        f"{module}.{name}",
        file="m.pt",
        attributes={"module": module, "name": name, "position": position},
    )


@pytest.mark.parametrize(
    "module, name",
    [("os", "system"), ("posix", "system"), ("nt", "system"), ("builtins", "eval"), ("__builtin__", "exec"),
     ("subprocess", "Popen"), ("builtins", "getattr"), ("importlib", "import_module"), ("runpy", "_run_code"),
     ("torch", "load"), ("sys", "exit"), ("webbrowser", "open"), ("os.path", "join")],
)  # fmt: skip
def test_calls_into_the_system_are_errors(module: str, name: str) -> None:
    assert is_dangerous(module, name)
    (finding,) = found("pickle-global", subject(None, named(module, name)))
    assert finding.severity == "error" and f"{module}.{name}" in finding.message
    assert finding.evidence["position"] == 7


@pytest.mark.parametrize(
    "module, name",
    [("argparse", "Namespace"), ("numpy.core.multiarray", "scalar"), ("torch.nn.modules.linear", "Linear"),
     ("pathlib", "PosixPath"), ("collections", "defaultdict"), ("__main__", "Net"), ("builtins", "dict"),
     ("functools", "partial")],
)  # fmt: skip
def test_what_checkpoints_ordinarily_carry_is_a_note(module: str, name: str) -> None:
    assert not is_dangerous(module, name) and is_usual(module, name)
    assert [f.severity for f in found("pickle-global", subject(None, named(module, name)))] == ["note"]


def test_names_of_one_file_are_one_finding_with_all_positions() -> None:
    of = subject(
        None,
        named("argparse", "Namespace", 3),
        named("torch.nn.modules.linear", "Linear", 90),
        named("strange.thing", "Make"),
    )
    strange, usual = found("pickle-global", of)
    assert (strange.severity, usual.severity) == ("warning", "note")
    assert [row["position"] for row in usual.evidence["seen"]] == [3, 90]


def test_numpy_two_pickles() -> None:
    assert len(found("numpy-module", subject(None, named("numpy._core.multiarray", "scalar")))) == 1
    assert found("numpy-module", subject(None, named("numpy.core.multiarray", "scalar"))) == []


@pytest.mark.parametrize("protocol, said", [(2, 0), (4, 1), (5, 1), (None, 0)])
def test_pickle_protocol(protocol, said: int) -> None:
    of = Memory({"w": normal(2, 2)}, attributes={"pickle_protocol": protocol}, form="torch-zip")
    assert len(found("pickle-protocol", subject(of))) == said
    other = Memory({"w": normal(2, 2)}, attributes={"pickle_protocol": protocol}, form="npz")
    assert found("pickle-protocol", subject(other)) == []


def test_what_keras_three_refuses() -> None:
    key = {"w": {"key": "layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE"}}
    assert len(found("keras3-refuses", subject(Memory({"w": normal(2, 2)}, key, form="tf-bundle")))) == 1
    assert found("keras3-refuses", subject(Memory({"w": normal(2, 2)}, form="tf-bundle"))) == []
    one = Memory({"w": normal(2, 2)}, form="keras-h5-legacy", attributes={"keras_version": "1.2.2"})
    assert len(found("keras3-refuses", subject(one))) == 1


def test_small_types() -> None:
    of = Memory({"w": normal(2, 2)}, {"w": {"dtype": "float8_e4m3fn"}})
    assert len(found("sub-byte-types", subject(of, depth="header"))) == 1
    plain = Memory(
        {"w": normal(2, 2), "d": np.ones(3), "h": normal(4, dtype=np.float16), "i": np.ones(2, np.int8)}
    )
    assert found("sub-byte-types", subject(plain)) == []


class State(NamedTuple):
    mu: Any


def test_the_advice_on_a_plain_pickle_is_no_advice_on_pytorch(tmp_path: Path) -> None:
    path = tmp_path / "state.pkl"
    path.write_bytes(pickle.dumps({"w": np.ones(3, "float32"), "state": State(np.ones(3, "float32"))}))
    told = [f for f in holdfast.examine(path).findings if f.code == "X101"]
    assert len(told) == 1
    assert "torch" not in (told[0].remedy or "")
    assert "pickle.load" in (told[0].remedy or "")
