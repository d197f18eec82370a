"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pyclassify.errors import CheckpointError


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with these files; one that is there already is replaced.

    Raises:
        CheckpointError: the disk is full or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.writing-", dir=path.parent))
    except OSError as error:
        raise CheckpointError(f"cannot write beside {path}: {error}.") from error
    try:
        _write(beside, files)
        _replace(beside, path)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def replace_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Replace some files of a folder, each whole or not at all.

    Raises:
        CheckpointError: the disk is full or may not be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.absolute().parent) as beside:
            _write(Path(beside), files)
            for name in files:
                (path / name).parent.mkdir(exist_ok=True)
                os.replace(Path(beside) / name, path / name)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}.") from error


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o755)  # mkdtemp makes folders that only their owner may enter
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _replace(new: Path, path: Path) -> None:
    old = new.with_name(f"{new.name}.old")
    if path.exists():
        path.rename(old)  # a folder that is not empty cannot be renamed onto
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
