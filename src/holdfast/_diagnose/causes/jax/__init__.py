"""JAX, flax, optax, Orbax."""
