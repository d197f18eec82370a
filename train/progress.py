"""What a person sees while a model is fitted: a bar per epoch, and a line per finished one, also without a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from tqdm import tqdm

from pyclassify.examples import Batches
from pyclassify.training import EpochResult, Progress


class ProgressBar:
    """Draws on stderr where that is a terminal; prints one line per finished epoch to stdout anyway."""

    def __init__(self, train: Batches, *, things: str) -> None:
        self._examples, self._batches = train.examples, len(train)
        self._things = things
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def update(self, progress: Progress) -> None:
        """Move the bar to where the epoch stands."""
        if self._bar is None:
            self._bar = tqdm(
                total=round(self._examples * progress.batches / self._batches),  # of a cut epoch it is a part
                desc=f"epoch {progress.epoch}",
                unit=f" {self._things}",
                leave=False,
                disable=None,  # none where stderr is no terminal
                file=sys.stderr,
                dynamic_ncols=True,
            )
        self._bar.set_postfix_str(f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.3f}", refresh=False)
        self._bar.update(progress.examples - self._bar.n)

    def say(self, note: str) -> None:
        """Print a line that belongs to no epoch."""
        self._close()
        print(note, flush=True)

    def finish_epoch(self, result: EpochResult) -> None:
        """Close the bar and print the epoch's line."""
        self._close()
        print(
            f"epoch {result.epoch}/{result.epochs}  loss {result.train_loss:.4f}  accuracy {result.train_accuracy:.4f}"
            f"  validation loss {result.validation_loss:.4f}  validation accuracy {result.validation_accuracy:.4f}"
            f"  {result.examples_per_s:,.0f} {self._things}/s  {result.duration_s:.0f} s"
            f"{'  best so far' if result.is_best else ''}",
            flush=True,
        )

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
