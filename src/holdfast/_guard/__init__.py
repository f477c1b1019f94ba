"""Policy over the frameworks' events: ``holdfast run`` and ``holdfast.guard()``."""
