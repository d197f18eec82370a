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
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pyclassify import hub, selftest
from pyclassify.errors import WAY_OUT, CheckpointError, ConfigError, PyClassifyError
from pyclassify.evaluation import Trust
from pyclassify.folder import replace_files, write_folder
from pyclassify.image import models as image_models
from pyclassify.image.transform import ImageTransform
from pyclassify.text import models as text_models
from pyclassify.text.transform import TextTransform

FORMAT = 1
CONFIG, WEIGHTS, VOCABULARY, CARD = "config.json", "model.safetensors", "vocab.txt", "README.md"
KNOWN = "known.safetensors"
KINDS = ("image", "text")
FILES = (CONFIG, WEIGHTS, VOCABULARY, KNOWN, CARD, selftest.FILES)

Transform = ImageTransform | TextTransform


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network with all that is needed to use it.

    Args:
        name: of the folder, or "user/name" on the Hub.
        info: the content of config.json; see `save` for what it must hold.
        model: in evaluation mode, float32, on the CPU.
        transform: one input to one tensor.
        trust: temperature and sets, fitted on validation data.
        known: numbers that tell what is like the training data from what is not; empty where nothing can.
    """

    name: str
    info: dict[str, Any]
    model: nn.Module
    transform: Transform
    trust: Trust = field(default_factory=Trust)
    known: Mapping[str, Tensor] = field(default_factory=dict)

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
    known: Mapping[str, Tensor] | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> None:
    """Write a checkpoint whole or not at all; one that is there already is replaced.

    Args:
        path: the folder.
        info: plain data with "kind", "labels" and "model" ("name" and "arguments"), and what else is worth keeping.
        weights: the network's state_dict; half precision is kept.
        transform: the one that the network was trained with.
        card: Markdown for people.
        known: what goes with "known" in info.
        pictures: files that the card shows, by name.

    Raises:
        ConfigError: path holds something that is no checkpoint.
        CheckpointError: the disk is full or may not be written.
    """
    refuse_other_content(path)
    files = {WEIGHTS: safetensors.torch.save({name: each.contiguous() for name, each in weights.items()})}
    if isinstance(transform, TextTransform):
        files[VOCABULARY] = "\n".join(transform.vocabulary).encode()
    if known:
        files[KNOWN] = safetensors.torch.save({name: each.contiguous() for name, each in known.items()})
    config = {"format": FORMAT, **info, "transform": transform.config()}
    config.pop(selftest.KEY, None)  # where info is of another checkpoint, so are its answers
    config["sha256"] = _hashes(files)
    files[CONFIG] = written(config)
    files[CARD] = card.encode()
    write_folder(path, {**(pictures or {}), **files})


def add_selftest(folder: Path) -> None:
    """Note what the checkpoint in a folder answers to inputs of our own making; `load` compares from then on.

    A self-test that is there already is replaced, unread: this is also how a change of config.json is accepted.

    Raises:
        CheckpointError: the folder holds no checkpoint that can be used, or cannot be written.
    """
    info = {name: each for name, each in _read_config(folder / CONFIG).items() if name != selftest.KEY}
    found = _assemble(folder.name, folder, info)
    noted, files = selftest.make(found.model, found.transform, info, folder / CONFIG)
    hashes = {**info["sha256"], **_hashes(files)}
    replace_files(folder, {**files, CONFIG: written({**info, selftest.KEY: noted, "sha256": hashes})})


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def written(config: Mapping[str, Any]) -> bytes:
    """What stands in `config.json`."""
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
        folder, name = hub.download(str(source), FILES), str(source)
    info = _read_config(folder / CONFIG)
    found = _assemble(name, folder, info)
    check = selftest.check if selftest.KEY in info else selftest.try_out
    check(found.model, found.transform, info, folder / CONFIG)
    return found


def _assemble(name: str, folder: Path, info: dict[str, Any]) -> Checkpoint:
    files = _read_files(folder, info)
    try:
        transform = _transform(info, files)
        model = _model(info, len(info["labels"]))
        trust = Trust.from_info(info)
    except PyClassifyError as error:
        raise CheckpointError(f"{folder / CONFIG} does not describe a usable model: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{folder / CONFIG} is incomplete or wrong ({_named(error)}). {WAY_OUT}") from error
    _fill(model, _tensors(folder / WEIGHTS, files[WEIGHTS]), folder / WEIGHTS)
    known = _tensors(folder / KNOWN, files[KNOWN]) if KNOWN in files else {}
    return Checkpoint(name=name, info=info, model=model, transform=transform, trust=trust, known=known)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


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
    needed = [WEIGHTS, *([VOCABULARY] if info["kind"] == "text" else []), *([KNOWN] if "known" in info else [])]
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


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # SafetensorError is not exported under a stable name
        raise CheckpointError(f"cannot read {path}: {_named(error)}. {WAY_OUT}") from error


def _fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
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
