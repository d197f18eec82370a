"""A checkpoint that tests itself: inputs of our own making, and what came out for them when it was made.

Hashes show that a file is the one that was written. They do not show that this machine still makes the same of it:
another Pillow may decode otherwise, another tokeniser may cut otherwise, and `config.json` has no hash at all. So when
a checkpoint is loaded, a few inputs go the whole way from a file or a text to probabilities, and each step is compared:
the settings, how each input was read, the probabilities. The first step that differs names the cause.

It is a sample: a damaged row of weights that no input comes by is not seen.
"""

from pyclassify.selftest.checking import check, make, try_out
from pyclassify.selftest.inputs import FILES, KEY, file_names

__all__ = ["FILES", "KEY", "check", "file_names", "make", "try_out"]
