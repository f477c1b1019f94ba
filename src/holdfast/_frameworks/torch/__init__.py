"""Live PyTorch objects: modules, optimizers, schedulers, scalers, averaged copies, and whatever else has a
``state_dict``. ``live.py`` is the way in."""
