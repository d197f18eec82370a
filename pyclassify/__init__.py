"""PyClassify: from labelled pictures or text to an honest demo page.

>>> import pyclassify
>>> classifier = pyclassify.load("checkpoints/cifar10")
>>> (prediction,) = classifier.predict(["cat.jpg"])
>>> prediction.label, prediction.probabilities
"""

from pyclassify.classifier import Classifier, Explanation, Prediction, load
from pyclassify.errors import CheckpointError, ConfigError, DataError, InputError, PyClassifyError
from pyclassify.image.explain import PictureExplanation
from pyclassify.text.explain import TextExplanation

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "Classifier",
    "ConfigError",
    "DataError",
    "Explanation",
    "InputError",
    "PictureExplanation",
    "Prediction",
    "PyClassifyError",
    "TextExplanation",
    "__version__",
    "load",
]
