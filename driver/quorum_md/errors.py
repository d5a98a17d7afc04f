"""Errors that a user can mend, one sentence each: where, what was found, expected, what to do.

The command line prints them as ``error: <sentence>`` and leaves with code 2; a traceback appears
only with ``--debug``. Anything else that escapes is a bug of ours.
"""

import warnings


class QuorumError(ValueError):
    """Input that cannot be used: the message is one sentence that says what to do."""


class QuorumWarning(UserWarning):
    """Something that runs but that the user must know of; the message is one sentence."""


def warn(message: str) -> None:
    """Issue a `QuorumWarning` that points at the caller's caller."""
    warnings.warn(message, QuorumWarning, stacklevel=3)
