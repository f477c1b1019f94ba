"""What a Keras configuration says of a model: attributes for the catalog, and code it would bring along.

Nothing of a configuration is ever built or executed; it is read as JSON. Sources:
``keras/src/saving/serialization_lib.py``
(``__lambda__``, ``registered_name``), ``keras/src/layers/core/lambda_layer.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..._core.errors import DamagedCheckpoint, LimitExceeded
from ..._core.fault import Fault

__all__ = ["parsed", "model_attributes", "executable", "digest"]

_OURS = ("keras", "tensorflow", "tf_keras", "builtins", "numpy", "keras_hub", "keras_nlp", "keras_cv")
_LIMIT = 64 << 20
_ROOM = 32 << 20


def parsed(text: str | bytes, file: str, what: str, room: int | None = None) -> Any:
    """JSON text as data; ``room`` is the size of the file that it came from.

    Raises :class:`DamagedCheckpoint` (not JSON), :class:`LimitExceeded` (nested too deep, huge, or so many
    values that they would take far more memory than the file has bytes).
    """
    if len(text) > _LIMIT:
        raise LimitExceeded(
            f"{what} is larger than any model's", file=file, expected=f"at most {_LIMIT}", found=len(text)
        )
    weights = (("[", 60), ("{", 60), (",", 90))
    if isinstance(text, bytes):
        cost = sum(size * text.count(mark.encode()) for mark, size in weights)
    else:
        cost = sum(size * text.count(mark) for mark, size in weights)
    most = _ROOM + 4 * len(text) if room is None else _ROOM + 2 * room
    if cost + len(text) > most:
        raise LimitExceeded(
            f"{what} holds more values than any honest one of its size",
            file=file,
            expected=f"at most {most} bytes once parsed",
            found=f"about {cost + len(text)}",
        )
    try:
        return json.loads(text)
    except RecursionError:
        raise LimitExceeded(f"{what} is nested too deep", file=file) from None
    except ValueError as error:
        raise DamagedCheckpoint(f"{what} is not valid JSON", file=file, found=str(error)[:200]) from None


def digest(config: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces): equal for equal configurations."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def model_attributes(node: Any, compiled: Any) -> dict[str, Any]:
    """Class and name of the model, its precision policy, losses and metrics, and the digest of its
    configuration.
    """
    found: dict[str, Any] = {}
    if isinstance(node, dict):
        found["model_class"] = node.get("class_name")
        config = node.get("config")
        if isinstance(config, dict) and isinstance(config.get("name"), str):
            found["model_name"] = config["name"]
        policies = sorted({p for p in _policies(node) if p})
        if policies:
            found["precision_policy"] = policies[0] if len(policies) == 1 else policies
        found["config_digest"] = digest({k: v for k, v in node.items() if k != "compile_config"})
    if isinstance(compiled, dict):
        loss = _label(compiled.get("loss"))
        metrics = _label(compiled.get("metrics"))
        if loss:
            found["loss"] = loss
        if metrics:
            found["metrics"] = metrics
    return {k: v for k, v in found.items() if v is not None}


def _label(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str) or value is None or depth > 8:
        return value
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            config = value.get("config")
            name = config.get("name") if isinstance(config, dict) else None
            return name or (config if isinstance(config, str) else value["class_name"])
        return {str(k): _label(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_label(v, depth + 1) for v in value]
    return None


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a configuration, without recursion (it may be deep)."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _policies(node: Any) -> Iterator[str]:
    for item in _nodes(node):
        policy = item.get("dtype")
        if isinstance(policy, dict) and isinstance(policy.get("config"), dict):
            name = policy["config"].get("name") or policy["config"].get("mode")
            if isinstance(name, str):
                yield name


def executable(config: Any, file: str) -> Iterator[Fault]:
    """Code that loading the model would run or need: ``lambda-layer``, ``custom-object``; each class once."""
    seen: set[str] = set()
    for item in _nodes(config):
        kind = item.get("class_name")
        if not isinstance(kind, str):
            continue
        inside = item.get("config")
        name = inside.get("name") if isinstance(inside, dict) else None
        if kind == "__lambda__" or kind == "Lambda":
            label = str(name or kind)
            if kind == "__lambda__" and any(s.startswith("lambda:") for s in seen):
                continue
            if f"lambda:{label}" not in seen:
                seen.add(f"lambda:{label}")
                yield Fault(
                    "lambda-layer",
                    "a Lambda layer carries Python code that loading would run",
                    file=file,
                    tensor=None,
                    seen=label,
                    attributes={"class": kind},
                )
            continue
        module, registered = item.get("module"), item.get("registered_name")
        package = registered.split(">", 1)[0] if isinstance(registered, str) and ">" in registered else None
        foreign = isinstance(module, str) and module.split(".")[0] not in _OURS
        if (
            ("module" in item and module is None and isinstance(registered, str))
            or foreign
            or (package and module is None)
        ):
            label = f"{module}.{kind}" if module else str(registered or kind)
            if label not in seen:
                seen.add(label)
                yield Fault(
                    "custom-object",
                    f"the model needs the class {label}, which is not part of Keras",
                    file=file,
                    seen=label,
                    attributes={"module": module, "name": kind, "registered_name": registered},
                )
