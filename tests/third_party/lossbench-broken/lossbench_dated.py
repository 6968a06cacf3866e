"""Dated: it imports a name that lossbench does not have."""

from lossbench import Nothing  # noqa: F401
