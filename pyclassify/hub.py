"""Checkpoints from the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pyclassify.errors import CheckpointError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def download(source: str, files: Sequence[str]) -> Path:
    """Fetch a checkpoint, or what has changed of it.

    Args:
        source: "user/name" of a model repository.
        files: what is fetched of it; patterns as of a shell.

    Returns:
        The folder that it lies in.

    Raises:
        CheckpointError: the name is none, there is no such model, or it cannot be reached.
    """
    first, _, rest = source.partition("/")
    if not _HUB_NAME.fullmatch(source) or (rest and Path(first).is_dir()):
        raise CheckpointError(f"there is no checkpoint at {source}; make one with python -m train.image or train.text.")
    # imported here: who loads from a folder does not wait for it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(source, allow_patterns=list(files)))
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{source} is neither a folder here nor a public model on the Hub; a private one needs `hf auth login`."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"there is no folder {source} here, and the Hub, where {source} may be a model, cannot be reached."
            " Check the path, or the connection."
        ) from error
    except Exception as error:  # the hub's client raises its own errors, httpx's and OSError
        cause = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise CheckpointError(f"cannot download {source} from the Hub ({cause}). Try again later.") from error
