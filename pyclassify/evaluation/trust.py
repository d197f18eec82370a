"""What a checkpoint knows of the worth of its own answers, as config.json keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pyclassify.evaluation.calibration import calibrated
from pyclassify.evaluation.sets import COVERAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Fitted on validation data after the training.

    Args:
        temperature: that logits are divided by; 1 for checkpoints that were never calibrated.
        sets: for each of COVERAGES the least probability of a label in the set; empty where nothing is promised.
        examples: how many validation examples both were fitted on.
    """

    temperature: float = 1.0
    sets: Mapping[str, float] = field(default_factory=dict)
    examples: int = 0

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> Trust:
        """Read it from the content of config.json.

        Raises:
            ValueError: a number is none, or is out of bounds.
        """
        said = info.get("calibration")
        if said is None:
            return cls()
        temperature, sets = said["temperature"], said["sets"]
        if not _is_number(temperature) or temperature <= 0:
            raise ValueError(f"the temperature must be a number above 0, got {temperature!r}")
        for coverage in COVERAGES:
            if not _is_number(sets[coverage]) or not 0 <= sets[coverage] <= 1:
                raise ValueError(f"the least probability of a set must be from 0 to 1, got {sets[coverage]!r}")
        return cls(temperature=temperature, sets={each: sets[each] for each in COVERAGES}, examples=said["examples"])

    def config(self) -> dict[str, Any]:
        """What `from_info` reads under "calibration"."""
        return {"temperature": self.temperature, "sets": dict(self.sets), "examples": self.examples}

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, K) logits to calibrated probabilities (N, K), float64."""
        return calibrated(logits, self.temperature)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
