"""The names of the scenes in ``live_keras``, so that collecting tests imports no TensorFlow."""

NAMES = [
    "weights of another model", "weights of a deeper model", "weights of another width", "unbuilt model", "file cut",
    "keras archive cut", "LFS pointer for h5", "no such weights", "weights only loaded as a model", "unknown layer",
    "wrong ending", "SavedModel folder", "no config", "set_weights before build", "tf prefix that is not there",
    "tf index cut", "tf data cut", "tf data of another save", "tf name that is not there", "tf checkpoint state file",
    "tf other objects", "tf other shape", "tf another optimizer", "orbax nothing there", "orbax other tree", "flax msgpack cut",
]  # fmt: skip
