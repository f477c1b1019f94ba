"""Which versions write and read what, as rows, each with its source.

``told.py`` has what holds whatever the reader is; :func:`judge` compares a catalog's writer with a reader's versions.
A row (:class:`Need`) names formats, a trait of the file (``traits.py``), a span of writers and of readers, and what
comes of it.
"""

from __future__ import annotations

from .installed import PACKAGES, installed_readers, parse_reader
from .judging import NEEDS, judge, matching
from .need import Need
from .spans import parse_version, within
from .told import VERSIONS, VersionFact, fact
from .traits import writer_of

__all__ = [
    "NEEDS",
    "PACKAGES",
    "VERSIONS",
    "Need",
    "VersionFact",
    "fact",
    "installed_readers",
    "judge",
    "matching",
    "parse_reader",
    "parse_version",
    "within",
    "writer_of",
]
