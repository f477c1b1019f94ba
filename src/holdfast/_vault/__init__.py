"""One run's checkpoints: snapshot, commit, retention, history.

:mod:`~holdfast._vault.vault` is what callers hold. Its rooms, each knowing only those before it: ``contents`` (what a save
consists of), ``folder`` (the steps that lie there), ``freezing``, ``telling``, ``operating`` (signals, deadline, scrub),
``saving``, ``preparing`` (preflight and rehearsal), ``restoring``; and above the vault ``history``.
"""
