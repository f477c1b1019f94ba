"""Object-based checkpoints: what the object graph tells of each tensor.

The layouts differ by writer, and all of them are read here:

- Keras 2 up to 2.10 and ``optimizers.legacy``: slots are ``slot_variables`` of the optimizer's node;
- Keras 2.11 to 2.15: a flat list ``_variables``, full names ``Adam/m/conv/kernel``;
- Keras 3: ``_variables`` from 2 on, full names ``adam/conv_kernel_momentum``; ``_trainable_variables`` holds
  the weights themselves, which are then stored under the optimizer and not under the model.

Sources: tensorflow/python/checkpoint/graph_view.py and save_util.py, tf_keras/src/optimizers/optimizer.py,
keras/src/optimizers/base_optimizer.py and backend/tensorflow/optimizer.py.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping

from ..._core.spec import Role
from .describe import (
    LAYOUTS,
    Description,
    OptimizerDraft,
    is_buffer,
    is_counter,
    is_hyperparameter,
)
from .entries import BundleEntry
from .object_graph import GRAPH_KEY, ObjectGraph
from .optimizer_graph import Optimizer, OwnVariable, find_optimizers

__all__ = ["describe_objects"]

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_DEEPEST = 200
_METRICS = {"keras_api", "metrics", "_metrics", "_compile_metrics", "metric"}
_GENERIC = re.compile(r"^$|^Variable(_\d+)?$|.*/\.ATTRIBUTES/.*|^unknown$")


def describe_objects(
    entries: Mapping[str, BundleEntry],
    graph: ObjectGraph | None,
    variables: Mapping[int, tuple[str, bool]],
) -> tuple[dict[str, Description], list[OptimizerDraft]]:
    """Descriptions by key, in the order of the graph, and the optimizers. Without a graph the keys must
    do.
    """
    if graph is None:
        return _from_keys(entries)
    keys = _keys_of(entries, graph)
    full = _full_names(graph, variables)
    optimizers = find_optimizers(graph, full, {node: entries[key].shape for node, key in keys.items()})
    owned = {own.node for optimizer in optimizers for own in optimizer.variables}
    names = _names(graph, keys, full, owned, optimizers)
    beside = _paths_beside(graph, {o.root for o in optimizers}, set(keys) - owned)
    found: dict[str, Description] = {}
    for node in _walk(graph, [o.root for o in optimizers]):
        key = keys.get(node)
        if key is not None and node not in owned:
            found[key] = _plain(names[node], key, entries[key], full.get(node, ""), variables.get(node))
            other = beside.get(node)
            if other is not None and other not in (names[node], _path_of(key)):
                found[key].aliases = (*found[key].aliases, other)
    trainable = {node for optimizer in optimizers for node in optimizer.trainable}
    for node in trainable:
        if node in keys and keys[node] in found:
            found[keys[node]].trainable = True
    for place, what in enumerate(found.values()):
        if what.role in ("weight", "buffer"):
            what.order = place
    drafts = []
    for optimizer in optimizers:
        draft = OptimizerDraft(optimizer.name, scope=optimizer.scope, attributes=dict(optimizer.attributes))
        drafts.append(draft)
        bearers = Counter(own.full for own in optimizer.variables)
        for own in optimizer.variables:  # Keras 3's Adafactor calls row and column moments alike
            if bearers[own.full] > 1:
                own.full = ""
        for own in optimizer.variables:
            key = keys.get(own.node)
            if key is not None and key not in found:
                found[key] = _own(own, optimizer, key, entries[key], names, draft)
        draft.owners.extend(names[node] for node in optimizer.trainable if node in names)
        for own in optimizer.variables:
            if own.owner in names:
                draft.owners.append(names[own.owner])
    for key, entry in entries.items():
        if key not in found:
            found[key] = _unknown(key, entry)
    return found, drafts


# -- the graph ---------------------------------------------------------------------------------------------
def _keys_of(entries: Mapping[str, BundleEntry], graph: ObjectGraph) -> dict[int, str]:
    """Node -> the key of its value, for nodes that are variables and stored."""
    return {
        index: attribute.key
        for index, node in enumerate(graph.nodes)
        for attribute in node.attributes[:1]
        if attribute.key in entries
    }


def _full_names(graph: ObjectGraph, variables: Mapping[int, tuple[str, bool]]) -> dict[int, str]:
    """Node -> the variable's own name, ``":0"`` dropped; empty where the graph tells none (or only
    "Variable").
    """
    names = {}
    for index, node in enumerate(graph.nodes):
        if node.attributes:
            name = node.attributes[0].full_name or variables.get(index, ("", False))[0]
            names[index] = "" if _GENERIC.match(name) else name.removesuffix(":0")
    return names


def _walk(graph: ObjectGraph, last: list[int]) -> Iterator[int]:
    """All nodes, depth first in stored order, the optimizers (``last``) at the end: the order of
    ``model.weights``.
    """
    seen = set(last)
    for start in [0, *last]:
        stack = [start]
        seen.discard(start)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            yield node
            stack.extend(child for _, child in reversed(graph.nodes[node].children) if child not in seen)
    yield from (node for node in range(len(graph.nodes)) if node not in seen)


def _paths_beside(graph: ObjectGraph, optimizers: set[int], wanted: set[int]) -> dict[int, str]:
    """Node -> the path to it that leads through no optimizer. A weight that an optimizer lists is stored under the
    optimizer, which is nearer to the root; where it stands in the model only this path tells."""
    if not optimizers:
        return {}
    paths: dict[int, tuple[str, ...]] = {0: ()}
    queue = deque([0] if graph.nodes else [])
    while queue:
        at = queue.popleft()
        if len(paths[at]) >= _DEEPEST:
            continue
        for name, child in graph.nodes[at].children:
            if child not in paths and child not in optimizers:
                paths[child] = (*paths[at], name)
                queue.append(child)
    return {node: "/".join(map(_escaped, path)) for node, path in paths.items() if node in wanted}


def _escaped(name: str) -> str:
    """A name as it stands in a key (tensorflow/python/trackable/trackable_utils.py)."""
    return name.replace(".", "..").replace("/", ".S")


# -- names -------------------------------------------------------------------------------------------------
def _names(
    graph: ObjectGraph,
    keys: Mapping[int, str],
    full: Mapping[int, str],
    owned: set[int],
    optimizers: list[Optimizer],
) -> dict[int, str]:
    """Node -> name, for all that is not an optimizer's own.

    The variable's full name where it has one of several words and bears it alone; else what the slots' names
    prove of it; else the object path.
    """
    # Keras 3's ExportArchive stores each variable twice: as served, and once more in its own list.
    plain = [node for node in keys if full.get(node) and node not in owned]
    count = Counter(full[node] for node in plain if not keys[node].startswith(_EXPORTED))
    hints = {
        own.owner: own.owner_hint
        for o in optimizers
        for own in o.variables
        if own.owner is not None and own.owner_hint
    }
    taken: set[str] = set()
    names = {}
    for node, key in keys.items():
        if node in owned:
            continue
        path = _path_of(key)
        name = full.get(node, "")
        copied = key.startswith(_EXPORTED) and count[name]
        if copied or ("/" not in name and not (name and _IN_OPTIMIZER.search(path))):
            name = path
        elif hints.get(node, "") != name.replace("/", "_") and "/" in name:
            name = _spelled(name, hints.get(node)) or (path if count[name] > 1 else name)
        elif count[name] > 1:
            name = path
        if name in taken:
            name = path
        taken.add(name)
        names[node] = name
    return names


_EXPORTED = "_all_variables/"
_IN_OPTIMIZER = re.compile(r"/_trainable_variables/\d+$")


def _spelled(name: str, hint: str | None) -> str | None:
    """``net/kernel`` whose slot is called ``net_block_dense_1_kernel_momentum`` is
    ``net/block/dense_1/kernel``.

    A Keras 3 layer that was built outside its parent's scope names its variables after the outermost model
    only; the optimizer took the full path and wrote it with underscores. The words between are cut where a
    known layer's default name begins; where none does they stay one word.
    """
    if not hint:
        return None
    head, _, tail = name.rpartition("/")
    first, last = f"{head.replace('/', '_')}_", f"_{tail}"
    if not hint.startswith(first) or not hint.endswith(last) or len(hint) <= len(first) + len(last):
        return None
    middle = hint[len(first) : -len(last)]
    words: list[str] = []
    while middle:
        match = _LAYER.search(f"_{middle}")
        if match is None or match.start() == 0:
            words.append(middle)
            break
        words.append(middle[match.start() :])
        middle = middle[: match.start() - 1]
    return "/".join([head, *reversed(words), tail])


_LAYER = re.compile(
    r"_(batch_normalization|layer_normalization|group_normalization|unit_normalization|rms_normalization|"
    r"(?:depthwise_|separable_)?conv[123]d(?:_transpose)?|multi_head_attention|einsum_dense|dense|embedding|"
    r"(?:lstm|gru|simple_rnn)(?:_cell)?|bidirectional|time_distributed|rnn|p_re_lu|normalization|"
    r"sequential|functional)"
    r"(_\d+)?$"
)


def _path_of(key: str) -> str:
    """The object path in a key, its escapes undone (trackable_utils.py: ``.`` is ``..``, ``/`` is ``.S``)."""
    path, mark, attribute = key.partition("/.ATTRIBUTES/")
    path = re.sub(r"\.(\.|S)", lambda m: "." if m[1] == "." else "/", path)
    if not mark or attribute in ("VARIABLE_VALUE", ""):
        return path
    return f"{path}/{attribute}"


# -- descriptions ------------------------------------------------------------------------------------------
def _plain(
    name: str, key: str, entry: BundleEntry, full: str, variable: tuple[str, bool] | None
) -> Description:
    """A tensor that belongs to no optimizer."""
    what = Description(name)
    path = _path_of(key)
    copied = key.startswith(_EXPORTED)
    others = [path, *([full, f"{full}:0"] if full and not copied else [])]
    what.aliases = tuple(dict.fromkeys(other for other in others if other and other not in (name, key)))
    if copied and full and name != full:
        what.attributes["copy_of"] = full
    if full:
        what.attributes["full_name"] = full
    if variable is not None and variable[0]:
        what.trainable = variable[1]
    what.role = _role(name, path, entry)
    if what.role == "buffer":
        what.trainable = False
    last = name.rsplit("/", 1)[-1]
    if what.role == "weight" and last in ("kernel", "recurrent_kernel") and entry.shape is not None:
        what.layout = LAYOUTS.get(len(entry.shape)) if "transpose" not in name else None
    return what


def _role(name: str, path: str, entry: BundleEntry) -> Role:
    words = set(path.split("/"))
    last = path.rsplit("/", 1)[-1]
    if words & _METRICS or "/metrics/" in f"/{path}/":
        return "metric"
    if last.endswith(("-keys", "-values")):
        return "buffer"
    if "ITERATOR" in last or entry.dtype == "variant":
        return "data-position"
    if "seed_generator" in name or last in ("seed_generator_state", "_state_var", "StateVar") or words & {
        "seed_generator", "_random_generator", "random_generator"
    }:  # fmt: skip
        return "rng"
    if is_counter(name, entry) or is_counter(path, entry):
        return "counter"
    if is_buffer(name) or is_buffer(path):
        return "buffer"
    if last in ("OBJECT_CONFIG_JSON", "PYTHON_STATE", "py_state") or name == GRAPH_KEY:
        return "other"
    return "weight"


def _own(
    own: OwnVariable,
    optimizer: Optimizer,
    key: str,
    entry: BundleEntry,
    names: Mapping[int, str],
    draft: OptimizerDraft,
) -> Description:
    """A tensor that an optimizer made: slot, average, counter, hyperparameter."""
    path = _path_of(key)
    name = f"{optimizer.name}/{own.full}" if own.full else _slot_path(path)
    what = Description(name, optimizer=optimizer.name)
    others = [path, *([own.full, f"{own.full}:0", f"{name}:0"] if own.full else [])]
    what.aliases = tuple(dict.fromkeys(other for other in others if other and other not in (name, key)))
    if own.kind == "slot":
        what.role, what.slot = "slot", own.slot
        what.owner = names.get(own.owner) if own.owner is not None else None
        if own.slot:
            draft.slots.append(own.slot)
        if what.owner is None:
            what.attributes["owner_unproved"] = True
    elif own.kind in ("average", "gradient"):
        what.role = "average" if own.kind == "average" else "gradient"
        what.owner = names.get(own.owner) if own.owner is not None else None
        if what.owner is None:
            what.attributes["owner_unproved"] = True
    else:
        last = path.rsplit("/", 1)[-1]
        word = last if not last.isdigit() else own.full.rsplit("/", 1)[-1]
        if is_counter(word, entry):
            what.role = "counter"
            if word in ("iter", "iterations", "_iterations", "iteration"):
                draft.step_key = key
        elif is_hyperparameter(word, entry):
            what.role = "hyperparameter"
            label = {"_learning_rate": "learning_rate", "_current_learning_rate": "learning_rate",
                     "current_learning_rate": "learning_rate"}.get(word, word)  # fmt: skip
            draft.values[label] = key
        else:
            what.role = "other"
    return what


def _slot_path(path: str) -> str:
    """``a/kernel/.OPTIMIZER_SLOT/optimizer/m`` -> ``optimizer/a/kernel/m``."""
    owner, mark, rest = path.partition("/.OPTIMIZER_SLOT/")
    if not mark:
        return path
    optimizer, _, slot = rest.rpartition("/")
    return f"{optimizer}/{owner}/{slot}"


def _unknown(key: str, entry: BundleEntry) -> Description:
    """A key that no node of the graph claims."""
    if key == GRAPH_KEY:
        return Description(key, role="other")
    if "/.ATTRIBUTES/" not in key:
        what = Description(key)
        what.role = "counter" if is_counter(key, entry) else "buffer" if is_buffer(key) else "weight"
        return what
    path = _path_of(key)
    name = path.removesuffix("/ITERATOR_STATE")
    what = Description(name, role=_role(path, path, entry))
    if name != path:
        what.aliases = (path,)
    return what


def _from_keys(entries: Mapping[str, BundleEntry]) -> tuple[dict[str, Description], list[OptimizerDraft]]:
    """What the keys alone tell, for graphs that are damaged or lie in a shard that is not there."""
    found: dict[str, Description] = {}
    drafts: dict[str, OptimizerDraft] = {}
    for key, entry in entries.items():
        if "/.OPTIMIZER_SLOT/" in key:
            owner, _, rest = key.partition("/.OPTIMIZER_SLOT/")
            optimizer, _, slot = rest.partition("/.ATTRIBUTES/")[0].rpartition("/")
            outer = optimizer.removesuffix("/base_optimizer")
            what = Description(_slot_path(_path_of(key)), role="slot", slot=slot, optimizer=outer)
            if owner + VALUE in entries:
                what.owner = _path_of(owner + VALUE)
                drafts.setdefault(outer, OptimizerDraft(outer)).owners.append(what.owner)
            drafts.setdefault(outer, OptimizerDraft(outer)).slots.append(slot)
            found[key] = what
            continue
        what = found[key] = _unknown(key, entry)
        head, _, last = what.name.rpartition("/")
        if head.rsplit("/", 1)[-1] in ("optimizer", "opt", "base_optimizer", "inner_optimizer"):
            if is_counter(last, entry):
                what.optimizer = head
                if last in ("iter", "_iterations", "iterations"):
                    drafts.setdefault(head, OptimizerDraft(head)).step_key = key
            elif is_hyperparameter(last, entry):
                what.role, what.optimizer = "hyperparameter", head
                drafts.setdefault(head, OptimizerDraft(head)).values[last.removeprefix("_")] = key
        elif re.search(r"(^|/)(optimizer|opt)(/\w+)?/_variables$", head):
            what.role, what.optimizer = "slot", head.rpartition("/")[0]
            what.attributes["owner_unproved"] = True
    return found, list(drafts.values())
