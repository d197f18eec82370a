"""Checkpoints: a folder, on disk or on the Hub, that holds a network and everything that is needed to use it.

A checkpoint holds plain data only: the manifest `config.json`, `model.safetensors`, files of its kind such as
`vocab.txt`, `ood.safetensors`, the inputs of the self-test, and for people the card `README.md` with its figures.
Loading never unpickles and runs no code of the folder. The manifest holds its own SHA-256 and that of each other file
that answers depend on; one that does not match is refused. Card and figures may be edited.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pyclassify import modality, selftest, weights
from pyclassify.errors import CheckpointError, ConfigError, PyClassifyError
from pyclassify.manifest import FORMAT, Manifest, digest
from pyclassify.modality import Modality, OodDetector, Transform
from pyclassify.ood import device_of

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
OOD: Final = "ood.safetensors"
CARD: Final = "README.md"

_DOWNLOADED: Final = (CONFIG, WEIGHTS, OOD, CARD, selftest.FILES, "*.txt", "tokenizer.json")
"""Patterns of the files that are fetched from the Hub; of a kind's own files, a vocabulary is a text."""
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_BAD_CONTENT: Final = (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError)
"""Raised by constructors for settings that cannot work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained network with everything that is needed to use it.

    Args:
        name: of the folder, or "user/name" on the Hub.
        manifest: the content of config.json.
        network: in evaluation mode, float32, on the CPU until `to` moves it; logits (N, K) = network(*inputs).
        transform: turns one input into one tensor.
        ood: tells inputs unlike the training data; None where the checkpoint cannot.
        ood_tensors: that `ood` was made of.
    """

    name: str
    manifest: Manifest
    network: nn.Module
    transform: Transform
    ood: OodDetector | None = None
    ood_tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def modality(self) -> Modality:
        """The modality of its kind."""
        return modality.get(self.manifest.kind)

    @property
    def kind(self) -> str:
        """The kind of input, such as "image" or "text"."""
        return self.manifest.kind

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the logits."""
        return list(self.manifest.labels)

    def to(self, device: torch.device) -> Checkpoint:
        """Return the checkpoint with its network in the form for inference, and its OOD detector, on a device."""
        before = device_of(self.network)
        # convolutions are half as fast again in this order of memory, and so are those of a batch
        moved = self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network = self.modality.for_inference(moved)
        if self.ood is None:
            return dataclasses.replace(self, network=network)
        if network is self.network and device == before:
            return self
        detector = _make_ood(self.manifest, network, self.ood_tensors, self.name)
        return dataclasses.replace(self, network=network, ood=detector)


# Saving


def save(
    path: Path,
    *,
    manifest: Manifest,
    weights: Mapping[str, Tensor],
    transform: Transform,
    card: str,
    ood_tensors: Mapping[str, Tensor] | None = None,
    figures: Mapping[str, bytes] | None = None,
) -> Checkpoint:
    """Write a checkpoint with its self-test, whole or not at all; one that is there already is replaced.

    Args:
        path: of the folder.
        manifest: its transform, self-test and hashes are filled in here.
        weights: state_dict of the network; half precision is kept.
        transform: that the network was trained with.
        card: Markdown for people.
        ood_tensors: of the OOD detector that the manifest describes.
        figures: further files for people by name, such as the pictures of the card.

    Returns:
        The checkpoint as `load` would return it.

    Raises:
        ConfigError: path holds something that is no checkpoint.
        CheckpointError: the parts do not fit together, or the disk cannot be written.
    """
    refuse_other_content(path)
    files = {WEIGHTS: _tensor_file(weights), **modality.get(manifest.kind).transform_files(transform)}
    if ood_tensors:
        files[OOD] = _tensor_file(ood_tensors)
    manifest = manifest.replace(transform=transform.settings(), selftest=None)
    checkpoint = _assemble(path.name, manifest, files, path)
    tests, inputs = selftest.make(checkpoint)
    files |= inputs
    manifest = manifest.replace(selftest=tests, files=_hashes(files)).sealed()
    write_folder(path, {**(figures or {}), **files, CARD: card.encode(), CONFIG: manifest.to_json()})
    return dataclasses.replace(checkpoint, manifest=manifest)


def resave(path: Path, manifest: Manifest, *, card: str, figures: Mapping[str, bytes] | None = None) -> None:
    """Replace manifest, card and figures of a checkpoint, for changes of names and words that answers do not depend on.

    Args:
        path: of the folder.
        manifest: the changed one; it is sealed here.
        card: Markdown for people.
        figures: further files for people by name.

    Raises:
        CheckpointError: the disk cannot be written.
    """
    replace_files(path, {**(figures or {}), CARD: card.encode(), CONFIG: manifest.to_json()})


def check_writable(path: Path) -> None:
    """Check that a checkpoint could be written, before hours are spent on a training.

    Raises:
        CheckpointError: the place or the name does not allow it.
    """
    above = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    try:
        tempfile.TemporaryDirectory(prefix=f".{path.name}.writing-", suffix=".old", dir=above).cleanup()
        path.exists()  # refuses a name that is too long
    except OSError as error:
        raise _not_writable(path, error) from error


def refuse_other_content(path: Path) -> None:
    """Refuse to write over a folder that is no checkpoint.

    Raises:
        ConfigError: there is such a folder, or a file.
    """
    if path.is_dir() and (path / CONFIG).is_file():
        return
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError("not_a_checkpoint", path=path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder with these files, whole or not at all; one that is there already is replaced.

    Raises:
        CheckpointError: the disk is full or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.writing-", dir=path.parent))
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        _write_files(beside, files)
        _replace_folder(beside, path)
    except OSError as error:
        raise _not_writable(path, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def replace_files(path: Path, files: Mapping[str, bytes]) -> None:
    """Replace some files of a folder, each whole or not at all.

    Raises:
        CheckpointError: the disk is full or may not be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.absolute().parent) as beside:
            _write_files(Path(beside), files)
            for name in files:
                (path / name).parent.mkdir(exist_ok=True)
                os.replace(Path(beside) / name, path / name)
    except OSError as error:
        raise _not_writable(path, error) from error


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.chmod(0o755)  # mkdtemp makes folders that only their owner may enter
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _replace_folder(new: Path, path: Path) -> None:
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


def _not_writable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError("checkpoint_not_writable", path=path, reason=error.strerror or str(error))


def _tensor_file(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


# Loading


def load(source: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint, check its hashes and run its self-test.

    Args:
        source: a folder, or "user/name" of a model repository on the Hub.

    Raises:
        CheckpointError: it is missing, damaged, altered, or of a format that this version does not read.
    """
    folder = Path(source)
    name = folder.resolve().name
    if not os.path.isdir(folder):  # unlike the method of Path it takes any name
        folder, name = _download(str(source)), str(source)
    manifest = read_manifest(folder)
    checkpoint = _assemble(name, manifest, _read_files(folder, manifest), folder)
    selftest.check(checkpoint, folder)
    return checkpoint


def read_manifest(folder: Path) -> Manifest:
    """Read and check `config.json` alone, without the network.

    Raises:
        CheckpointError: it is missing, damaged, altered, or of a format that this version does not read.
    """
    path = folder / CONFIG
    try:
        content = json.loads(_read(path).decode())
        is_sealed = isinstance(content, dict) and content.get("sha256") == digest(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("checkpoint_file_unreadable", path=path, reason=_first_line(error)) from error
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int:
        raise CheckpointError("checkpoint_format_missing", path=path)
    if version != FORMAT:
        code = "checkpoint_format_newer" if version > FORMAT else "checkpoint_format_older"
        raise CheckpointError(code, path=path, format=str(version), known=str(FORMAT))
    if not is_sealed:
        raise CheckpointError("checkpoint_manifest_altered", path=path)
    if content.get("kind") not in modality.KINDS:
        raise CheckpointError("checkpoint_kind_unknown", path=path, kind=repr(content.get("kind")))
    try:
        return Manifest.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise CheckpointError("checkpoint_manifest_invalid", path=path, reason=_first_line(error)) from error


def _read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read the files that answers depend on, each once, so that what was checked is what is used."""
    extra = modality.get(manifest.kind).extra_files(manifest.transform)
    names = [WEIGHTS, *extra, *([OOD] if manifest.ood else [])]
    files = {}
    for name in (*names, *selftest.file_names(manifest)):
        files[name] = _read(folder / name)
        if hashlib.sha256(files[name]).hexdigest() != manifest.files.get(name):
            raise CheckpointError("checkpoint_file_altered", path=folder / name)
    return files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError("checkpoint_file_missing", path=path) from error
    except OSError as error:
        raise CheckpointError("checkpoint_file_unreadable", path=path, reason=error.strerror or str(error)) from error


def _assemble(name: str, manifest: Manifest, files: Mapping[str, bytes], folder: Path) -> Checkpoint:
    """Make a checkpoint of the content of its files; `folder` is for messages."""
    kind = modality.get(manifest.kind)
    try:
        transform = kind.make_transform(manifest.transform, files)
        # no memory for its weights: those come from the file, whose size is known to be sane
        with _NoInit(), torch.device("meta"):
            network = kind.build(manifest.network, num_labels=len(manifest.labels))
    except CheckpointError:  # something that the checkpoint needs is missing here
        raise
    except (PyClassifyError, *_BAD_CONTENT) as error:
        raise CheckpointError("checkpoint_unusable", path=folder / CONFIG, reason=_reason(error)) from error
    _fill(network, _tensors(folder / WEIGHTS, files[WEIGHTS]), folder)
    tensors = _tensors(folder / OOD, files[OOD]) if OOD in files else {}
    detector = _make_ood(manifest, network, tensors, name)
    return Checkpoint(
        name=name, manifest=manifest, network=network, transform=transform, ood=detector, ood_tensors=tensors
    )


class _NoInit(TorchFunctionMode):
    """Skip `torch.nn.init`: on tensors without memory it means seconds of imports, for nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call anything else as it is."""
        if getattr(func, "__module__", "") == "torch.nn.init":
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    try:
        network.load_state_dict(weights.unpack(tensors), strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError("checkpoint_weights_unfit", path=folder / WEIGHTS, reason=reason) from error
    network.requires_grad_(False)
    network.eval()


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(content)
    except Exception as error:  # SafetensorError is not exported under a stable name
        raise CheckpointError("checkpoint_file_unreadable", path=path, reason=_first_line(error)) from error


def _make_ood(manifest: Manifest, network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> OodDetector | None:
    if manifest.ood is None:
        return None
    try:
        return modality.get(manifest.kind).load_ood(network, manifest.ood, tensors)
    except (PyClassifyError, *_BAD_CONTENT) as error:
        raise CheckpointError("checkpoint_ood_damaged", name=name, reason=_reason(error)) from error


def _reason(error: Exception) -> Any:
    return error.message if isinstance(error, PyClassifyError) else f"{_first_line(error)}."


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _download(source: str) -> Path:
    """Fetch a checkpoint from the Hub, or what has changed of it, and return its folder."""
    first, _, rest = source.partition("/")
    if not _HUB_NAME.fullmatch(source) or (rest and Path(first).is_dir()):
        raise CheckpointError("checkpoint_not_found", source=source)
    # imported here: loading from a folder should not wait for it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(source, allow_patterns=list(_DOWNLOADED)))
    except RepositoryNotFoundError as error:
        raise CheckpointError("hub_model_not_found", source=source) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError("hub_unreachable", source=source) from error
    except Exception as error:  # the hub's client raises its own errors, httpx's and OSError
        raise CheckpointError("hub_download_failed", source=source, reason=_first_line(error)) from error
