"""For Keras: ``holdfast.keras.VaultCallback``. Importing this module imports Keras; ``import holdfast`` does not."""

from __future__ import annotations

from ._integrations.keras_callback import VaultCallback

__all__ = ["VaultCallback"]
