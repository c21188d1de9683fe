"""What the lab reports instead of a traceback."""

from __future__ import annotations


class LabError(Exception):
    """Something is wrong in a way that one message explains: what, where, what to do."""
