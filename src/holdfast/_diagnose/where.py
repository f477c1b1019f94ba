"""What an entry may ask of the surroundings (its ``where``)."""

from __future__ import annotations

from .surroundings import Around

__all__ = [
    "alone",
    "apart_from_steps",
    "in_prose",
    "loading",
    "loading_or_alone",
    "loading_outside_steps",
    "saving",
    "saving_or_alone",
    "storing",
    "storing_or_alone",
]


def loading(around: Around) -> bool:
    """Something is being loaded."""
    return around.loading


def saving(around: Around) -> bool:
    """Something is being saved."""
    return around.saving


def storing(around: Around) -> bool:
    """Something is being saved or loaded."""
    return around.storing


def alone(around: Around) -> bool:
    """The message stands alone, as people quote it."""
    return around.alone


def apart_from_steps(around: Around) -> bool:
    """No step of training, and none of its data, was under way."""
    return not around.computing


def in_prose(around: Around) -> bool:
    """Somebody tells, in words of their own, of something saved; no program printed it."""
    return around.prose


def loading_or_alone(around: Around) -> bool:
    """Something is being loaded; or nothing contradicts it, as the message stands alone."""
    return around.loading or around.alone


def saving_or_alone(around: Around) -> bool:
    """Something is being saved; or nothing contradicts it, as the message stands alone."""
    return around.saving or around.alone


def loading_outside_steps(around: Around) -> bool:
    """Something is being loaded, or the message stands alone; and it is not the data of a step that are read."""
    return loading_or_alone(around) and not around.computing


def storing_or_alone(around: Around) -> bool:
    """Something is being saved or loaded; or nothing contradicts it, as the message stands alone."""
    return around.storing or around.alone
