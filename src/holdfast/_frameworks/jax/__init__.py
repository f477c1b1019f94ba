"""JAX: pytrees of arrays, flax linen variables and train states, flax nnx modules, optax states.

JAX arrays are immutable. What a restore sets is collected, and ``LiveCatalog.result()`` gives new trees by part:
the same containers, the same static fields, fresh arrays on the same devices. Two kinds of thing change in place
too: the Variables of flax nnx objects, and trees that consist of dicts and lists alone.
``attributes["in_place"]`` tells by part; a part that is ``False`` there must be taken from the result.
"""
