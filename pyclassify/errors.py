"""What can go wrong and a person can mend.

Every message is one sentence or two: what is wrong, where, and the way out. Programs catch `PyClassifyError`;
command lines print it and leave with exit status 2; the page shows it.
"""

WAY_OUT = "Train it again or download it anew."
"""How a message on a checkpoint that cannot be used mostly ends."""


class PyClassifyError(Exception):
    """The root of all errors that PyClassify raises on purpose."""


class ConfigError(PyClassifyError):
    """An option has a value that cannot work."""


class DataError(PyClassifyError):
    """The labelled examples are missing, unreadable or cannot be learned from."""


class CheckpointError(PyClassifyError):
    """A checkpoint is missing, damaged, altered or of a format this version does not know."""


class InputError(PyClassifyError):
    """One picture or text given to a classifier cannot be read."""
