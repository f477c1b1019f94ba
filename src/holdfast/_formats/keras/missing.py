"""Variables that a Keras weights file must have had, by their numbers and by what its layers are, and has not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ..._core.fault import Fault
from ..._core.words import plural
from ..._facts.keras_layers import class_of_group, expected_variables
from .holders import Holder

__all__ = ["numbers_skipped", "short_layers"]


def numbers_skipped(holders: Iterable[Holder], file: str) -> Iterator[Fault]:
    """Keras numbers an object's variables from 0 without gaps (``save_own_variables``): a number that is
    skipped was stored once, or was to be.
    """
    for holder in holders:
        lacking = [i for i in range(max(holder.variables, default=-1)) if i not in holder.variables]
        lacking = lacking[:1000]
        if lacking:
            group = f"{holder.path}/vars" if holder.path else "vars"
            yield _absent(
                file,
                group,
                lacking,
                f"{group} holds variable {max(holder.variables)}, and not "
                f"{', '.join(map(str, lacking[:5]))}{' ...' if len(lacking) > 5 else ''}",
            )


def short_layers(
    holders: Iterable[Holder], groups: Collection[str], configured: bool, file: str
) -> Iterator[Fault]:
    """Layers whose configuration asks for more variables than are stored, in a file that holds others'.

    ``groups``: all groups of the file. ``configured``: the file has the model's configuration.
    """
    for holder in holders:
        have = len(holder.variables)
        config, class_name = holder.config, holder.class_name
        if not configured and have == 0 and holder.segments[-2:-1] == ("layers",):
            # Without a configuration only the class in the group's name speaks, and only where all is gone.
            config, class_name = {}, class_of_group(holder.segments[-1])
        elif not config or not holder.bound:  # every layer that Keras wrote has a configuration
            continue
        if config is None or class_name is None:
            continue
        if sorted(holder.variables) != list(range(have)):
            continue  # told as a gap
        if have == 0 and any(
            path.startswith(holder.path + "/") and not path.startswith(holder.path + "/vars")
            for path in groups
        ):
            continue
        wanted = expected_variables(class_name, config)
        if wanted is not None and have < len(wanted):
            names = ", ".join(wanted)
            yield _absent(
                file,
                f"{holder.path}/vars",
                list(range(have, len(wanted))),
                f"the layer {holder.name or holder.path} ({class_name}) has {plural(len(wanted), 'variable')} "
                f"({names}), {have} of them stored",
            )


def _absent(file: str, group: str, lacking: list[int], message: str) -> Fault:
    return Fault(
        "tensor-missing",
        message,
        file=file,
        seen=f"{group} without {lacking[:20]}",
        expected="numbers from 0 on without a gap",
        tensors=tuple(f"{group}/{i}" for i in lacking),
    )
