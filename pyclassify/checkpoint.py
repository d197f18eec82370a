"""One folder, on disk or on the Hub, to and from weights and all that is needed to use them.

A checkpoint holds plain data only: `config.json`, `model.safetensors`, for text `vocab.txt`, for pictures two that it
tests itself with (see `selftest`), and `README.md` for people, with pictures beside it. Loading never unpickles and
runs no code of the folder. Each file but the card and its pictures, which their owner may edit, is listed with its
SHA-256 in `config.json`; one that does not match is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pyclassify import selftest
from pyclassify.errors import WAY_OUT, CheckpointError, ConfigError, PyClassifyError
from pyclassify.folder import replace_files, write_folder
from pyclassify.image import models as image_models
from pyclassify.image.transform import ImageTransform
from pyclassify.text import models as text_models
from pyclassify.text.transform import TextTransform

FORMAT = 1
CONFIG, WEIGHTS, VOCABULARY, CARD = "config.json", "model.safetensors", "vocab.txt", "README.md"
KINDS = ("image", "text")

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Transform = ImageTransform | TextTransform


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network with all that is needed to use it.

    Args:
        name: of the folder, or "user/name" on the Hub.
        info: the content of config.json; see `save` for what it must hold.
        model: in evaluation mode, float32, on the CPU.
        transform: one input to one tensor.
    """

    name: str
    info: dict[str, Any]
    model: nn.Module
    transform: Transform

    @property
    def kind(self) -> str:
        """Either "image" or "text"."""
        kind: str = self.info["kind"]
        return kind

    @property
    def labels(self) -> list[str]:
        """What the logits stand for, in their order."""
        return list(self.info["labels"])


def save(
    path: Path,
    *,
    info: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    transform: Transform,
    card: str,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write a checkpoint whole or not at all; one that is there already is replaced.

    Args:
        path: the folder.
        info: plain data with "kind", "labels" and "model" ("name" and "arguments"), and what else is worth keeping.
        weights: the network's state_dict; half precision is kept.
        transform: the one that the network was trained with.
        card: Markdown for people.
        pictures: files that the card shows, by name.

    Raises:
        ConfigError: path holds something that is no checkpoint.
        CheckpointError: the disk is full or may not be written.
    """
    refuse_other_content(path)
    files = {WEIGHTS: safetensors.torch.save({name: each.contiguous() for name, each in weights.items()})}
    if isinstance(transform, TextTransform):
        files[VOCABULARY] = "\n".join(transform.vocabulary).encode()
    config = {"format": FORMAT, **info, "transform": transform.config()}
    config.pop(selftest.KEY, None)  # where info is of another checkpoint, so are its answers
    config["sha256"] = _hashes(files)
    files[CONFIG] = _written(config)
    files[CARD] = card.encode()
    write_folder(path, {**(pictures or {}), **files})


def add_selftest(folder: Path) -> None:
    """Note what the checkpoint in a folder answers to inputs of our own making; `load` compares from then on.

    A self-test that is there already is replaced, unread: this is also how a change of config.json is accepted.

    Raises:
        CheckpointError: the folder holds no checkpoint that can be used, or cannot be written.
    """
    info = {name: each for name, each in _read_config(folder / CONFIG).items() if name != selftest.KEY}
    model, transform = _assemble(folder, info)
    noted, files = selftest.make(model, transform, info, folder / CONFIG)
    hashes = {**info["sha256"], **_hashes(files)}
    replace_files(folder, {**files, CONFIG: _written({**info, selftest.KEY: noted, "sha256": hashes})})


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _written(config: Mapping[str, Any]) -> bytes:
    return (json.dumps(config, ensure_ascii=False, indent=1) + "\n").encode()


def check_writable(path: Path) -> None:
    """Check that a checkpoint could be written, before hours are spent on a training.

    Raises:
        CheckpointError: the place or the name does not allow it.
    """
    above = next(each for each in path.absolute().parents if os.path.exists(each))
    try:
        tempfile.TemporaryDirectory(prefix=f".{path.name}.writing-", suffix=".old", dir=above).cleanup()
        path.exists()  # refuses a name that is too long
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}. Give --out another place.") from error


def refuse_other_content(path: Path) -> None:
    """Refuse to write over a folder that is no checkpoint, before hours are spent on a training.

    Raises:
        ConfigError: there is such a folder, or a file.
    """
    if path.is_dir() and (path / CONFIG).is_file():
        return
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError(f"{path} is there and is no checkpoint; give --out another name, or move it away.")


def load(source: str | Path) -> Checkpoint:
    """Read a checkpoint and check it.

    Args:
        source: a folder, or "user/name" of a model repository on the Hub.

    Raises:
        CheckpointError: it is missing, damaged, altered, or of a format that this version does not know.
    """
    folder = Path(source)
    name = folder.resolve().name
    if not os.path.isdir(folder):  # unlike the method of Path it takes any name
        folder, name = _download(str(source)), str(source)
    info = _read_config(folder / CONFIG)
    model, transform = _assemble(folder, info)
    check = selftest.check if selftest.KEY in info else selftest.try_out
    check(model, transform, info, folder / CONFIG)
    return Checkpoint(name=name, info=info, model=model, transform=transform)


def _assemble(folder: Path, info: dict[str, Any]) -> tuple[nn.Module, Transform]:
    files = _read_files(folder, info)
    try:
        transform = _transform(info, files)
        model = _model(info, len(info["labels"]))
    except PyClassifyError as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a usable model: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{folder / CONFIG} is incomplete or wrong ({_named(error)}). {WAY_OUT}") from error
    _fill(model, folder / WEIGHTS, files[WEIGHTS])
    return model, transform


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _download(source: str) -> Path:
    first, _, rest = source.partition("/")
    if not _HUB_NAME.fullmatch(source) or (rest and Path(first).is_dir()):
        raise CheckpointError(f"there is no checkpoint at {source}; make one with python -m train.image or train.text.")
    # imported here: who loads from a folder does not wait for it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(source, allow_patterns=[CONFIG, WEIGHTS, VOCABULARY, CARD, selftest.FILES]))
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
        raise CheckpointError(f"cannot download {source} from the Hub ({_named(error)}). Try again later.") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing, so {path.parent} is no checkpoint. {WAY_OUT}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {_named(error)}. {WAY_OUT}") from error
    if not isinstance(info, dict) or not isinstance(info.get("format"), int):
        raise CheckpointError(f"{path} does not say which format it has. {WAY_OUT}")
    if info["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {info['format']}, which is newer than {FORMAT}, the newest known here."
            " Install a newer PyClassify."
        )
    if info["format"] < 1 or info.get("kind") not in KINDS:
        raise CheckpointError(f"{path} has an unknown format or kind. {WAY_OUT}")
    labels = info.get("labels")
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(each, str) for each in labels):
        raise CheckpointError(f"{path} does not list its labels. {WAY_OUT}")
    if len(set(labels)) < len(labels):
        raise CheckpointError(f"{path} lists a label twice. {WAY_OUT}")
    return info


def _read_files(folder: Path, info: dict[str, Any]) -> dict[str, bytes]:
    """The files that make the model, each read once, so that what was checked is what is used."""
    hashes = info.get("sha256")
    needed = [WEIGHTS, VOCABULARY] if info["kind"] == "text" else [WEIGHTS]
    files = {}
    for name in (*needed, *selftest.file_names(info)):
        try:
            files[name] = (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise CheckpointError(f"{folder / name} is missing. {WAY_OUT}") from error
        except OSError as error:
            raise CheckpointError(f"cannot read {folder / name}: {error}. {WAY_OUT}") from error
        if not isinstance(hashes, dict) or hashlib.sha256(files[name]).hexdigest() != hashes.get(name):
            raise CheckpointError(
                f"{folder / name} was altered or damaged: its SHA-256 is not the one noted. {WAY_OUT}"
            )
    return files


def _transform(info: dict[str, Any], files: dict[str, bytes]) -> Transform:
    if info["kind"] == "image":
        return ImageTransform.from_config(info["transform"])
    return TextTransform.from_config(info["transform"], vocabulary=tuple(files[VOCABULARY].decode().split("\n")))


def _model(info: dict[str, Any], labels: int) -> nn.Module:
    """The network without memory for its weights: those come from the file, and its size is known to be sane."""
    build = image_models.build if info["kind"] == "image" else text_models.build
    with _Uninitialised(), torch.device("meta"):
        return build(info["model"]["name"], labels=labels, **info["model"]["arguments"])


class _Uninitialised(TorchFunctionMode):
    """Leaves out what `torch.nn.init` does: on tensors without memory it means seconds of imports, for nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call anything else as it is."""
        if getattr(func, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def _fill(model: nn.Module, path: Path, content: bytes) -> None:
    try:
        weights = safetensors.torch.load(content)
    except Exception as error:  # SafetensorError is not exported under a stable name
        raise CheckpointError(f"cannot read {path}: {_named(error)}. {WAY_OUT}") from error
    full = {name: each.float() if each.is_floating_point() else each for name, each in weights.items()}
    try:
        model.load_state_dict(full, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the weights in {path} do not fit the network in {CONFIG}: {reason}. {WAY_OUT}"
        ) from error
    model.requires_grad_(False)
    model.eval()
