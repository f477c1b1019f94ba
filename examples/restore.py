"""Check before loading, restore exactly or not at all: on nested numpy arrays, without any framework.

    python examples/restore.py

Yours is the same with ``model=`` a torch.nn.Module, a Keras model or a JAX tree, and the checkpoint in any format.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import holdfast


def make(classes: int = 10) -> dict[str, dict[str, np.ndarray]]:
    """A model: an encoder, and a head of some classes."""
    rng = np.random.default_rng()
    return {
        "encoder": {"kernel": rng.normal(size=(16, 8)).astype("f4"), "bias": np.zeros(8, "f4")},
        "head": {"kernel": rng.normal(size=(8, classes)).astype("f4"), "bias": np.zeros(classes, "f4")},
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.npz")
        trained = make()
        np.savez(
            path,
            **{f"{layer}/{word}": array for layer, words in trained.items() for word, array in words.items()},
        )
        holdfast.seal(path)  # from now on every flipped bit is found, and a restore verifies every byte

        # The same model: restored, verified and compared, in place.
        model = make()
        print(holdfast.restore(path, model=model))
        assert (model["encoder"]["kernel"] == trained["encoder"]["kernel"]).all()

        # Another head. The restore is refused before anything has changed; all reasons come at once.
        model = make(classes=3)
        before = model["head"]["kernel"].copy()
        try:
            holdfast.restore(path, model=model)
        except holdfast.RestoreRefused as refused:
            print(f"\n{refused}\n")

        # What is meant is said: the head is new, the rest must be exact.
        print(holdfast.restore(path, model=model, allow=["drop:head/*", "keep-live:head/*"]))
        assert (model["encoder"]["kernel"] == trained["encoder"]["kernel"]).all()
        assert (model["head"]["kernel"] == before).all()

        # One bit is flipped on disk. Nothing is restored.
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        try:
            holdfast.restore(path, model=model, allow=["drop:head/*", "keep-live:head/*"])
        except holdfast.HoldfastError as error:
            print(f"\n{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
