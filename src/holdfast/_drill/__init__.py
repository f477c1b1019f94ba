"""The drill: a script runs uninterrupted, then killed and resumed, and what both did is compared step by step.

In a child process (:mod:`.child`) *watchers* write one line of a *trace* per optimizer step: learning rates, digests of
weights, optimizer state and random state, the batch, the loss. The parent (:mod:`.drill`) copies the working folder, starts
the children, lays a resumed trace onto the uninterrupted one (:mod:`.align`) and names what differs first (:mod:`.judge`).
"""
