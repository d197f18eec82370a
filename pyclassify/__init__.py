"""PyClassify: from labelled pictures or text to an honest demo page.

>>> import pyclassify
>>> classifier = pyclassify.load("checkpoints/cifar10")
>>> (prediction,) = classifier.predict(["cat.jpg"])
>>> prediction.label, prediction.probabilities
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier, Prediction, load
    from pyclassify.errors import CheckpointError, ConfigError, DataError, InputError, PyClassifyError
    from pyclassify.image.explain import ImageExplanation
    from pyclassify.recipe import TrainResult, train
    from pyclassify.text.explain import TextExplanation
    from pyclassify.training.config import ImageConfig, TextConfig

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "Classifier",
    "ConfigError",
    "DataError",
    "ImageConfig",
    "ImageExplanation",
    "InputError",
    "Prediction",
    "PyClassifyError",
    "TextConfig",
    "TextExplanation",
    "TrainResult",
    "__version__",
    "load",
    "train",
]

_MODULES: Final = {
    "CheckpointError": "pyclassify.errors",
    "Classifier": "pyclassify.classifier",
    "ConfigError": "pyclassify.errors",
    "DataError": "pyclassify.errors",
    "ImageConfig": "pyclassify.training.config",
    "ImageExplanation": "pyclassify.image.explain",
    "InputError": "pyclassify.errors",
    "Prediction": "pyclassify.classifier",
    "PyClassifyError": "pyclassify.errors",
    "TextConfig": "pyclassify.training.config",
    "TextExplanation": "pyclassify.text.explain",
    "TrainResult": "pyclassify.recipe",
    "load": "pyclassify.classifier",
    "train": "pyclassify.recipe",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import pyclassify` does not import torch (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
