"""Options for how the page calls a checkpoint and its labels, in each of its languages."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from pyclassify.errors import ConfigError
from pyclassify.message import LANGUAGES

_SPOKEN = {"en": ("", "in English"), "ko": ("-ko", "in Korean")}


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add `--title` and `--label-names`, and the same for each other language, under a heading."""
    group = parser.add_argument_group("names on the page (folder and labels as they are, where none are given)")
    for code, (suffix, language) in _SPOKEN.items():
        group.add_argument(
            f"--title{suffix}",
            dest=f"title_{code}",
            metavar="TEXT",
            help=f'what the checkpoint tells, {language}, such as "Film reviews"',
        )
        group.add_argument(
            f"--label-names{suffix}",
            dest=f"label_names_{code}",
            nargs="+",
            type=_pair,
            metavar="LABEL=NAME",
            help=f"what labels are called {language}, such as neg=negative",
        )


def has_names(options: argparse.Namespace) -> bool:
    """Whether any name was given."""
    return any(getattr(options, f"{what}_{code}") for what in ("title", "label_names") for code in LANGUAGES)


def given_names(options: argparse.Namespace, labels: Sequence[str]) -> dict[str, Any]:
    """What was given, in the form of the checkpoint's `card`; what was not given is not in it.

    Raises:
        ConfigError: a label that there is none of was named, or two were named the same.
    """
    titles = {code: getattr(options, f"title_{code}") for code in LANGUAGES}
    names = {code: dict(getattr(options, f"label_names_{code}") or ()) for code in LANGUAGES}
    for each in names.values():
        _check(each, labels)
    found = {"title": _without_empty(titles), "label_names": _without_empty(names)}
    return {key: value for key, value in found.items() if value}


def _pair(argument: str) -> tuple[str, str]:
    # a label may hold the sign itself; names seldom do
    label, sign, name = argument.rpartition("=")
    if not (sign and label and name.strip()):
        raise argparse.ArgumentTypeError(f"{argument!r} is not of the form LABEL=NAME")
    return label, name.strip()


def _check(names: Mapping[str, str], labels: Sequence[str]) -> None:
    strange = sorted(names.keys() - set(labels))
    if strange:
        raise ConfigError(f"there is no label {strange[0]!r} to give a name to; there are {', '.join(labels)}")
    called = [names.get(label, label) for label in labels]
    twice = sorted(name for name in set(called) if called.count(name) > 1)
    if twice:
        raise ConfigError(f"two labels would both be called {twice[0]!r}")


def _without_empty(found: Mapping[str, Any]) -> dict[str, Any]:
    return {code: each for code, each in found.items() if each}
