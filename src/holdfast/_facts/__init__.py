"""Knowledge as data, each row with its test or source: causes, versions, optimizers, name prefixes."""
