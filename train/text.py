"""Train on labelled text: `python -m train.text --data data/imdb/aclImdb --out checkpoints/imdb`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pyclassify.device import pick
from pyclassify.errors import ConfigError
from pyclassify.examples import Splits
from pyclassify.findings import DataLook, hidden_files, look
from pyclassify.text import baseline, data, models, pretraining, regions, twins, unlabelled
from pyclassify.text.transform import TextTransform
from train import options as shared
from train import pipeline
from train.look import settle, show
from train.names import given_names

MODULE = "train.text"
MAX_TOKENS = 1024
EXCERPT = 60
"""Characters of a text that stand for it in a list."""

MAX_VOCABULARY = {"words": 30_000, "characters": 4_000}


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(arguments)
    shared.run_command(MODULE, arguments, lambda: train(options, arguments), lambda: options.out)


def parser() -> argparse.ArgumentParser:
    """The options, with their help."""
    result = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Train a classifier of text and write it as a checkpoint that app.py and pyclassify.load read.",
        epilog="example: python -m train.text --data data/imdb/aclImdb --out checkpoints/imdb",
    )
    source = result.add_argument_group("data (one of the two)").add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a folder with train/<label>/*.txt and test/<label>/*.txt, or a .csv, .tsv or .jsonl file",
    )
    source.add_argument(
        "--dataset", choices=data.DATASETS, metavar="NAME", help=f"download one: {', '.join(data.DATASETS)}"
    )
    reading = result.add_argument_group("reading")
    reading.add_argument("--test", type=Path, metavar="PATH", help="the texts to test with, where they lie apart")
    reading.add_argument("--text-column", default="text", metavar="NAME", help="default: text")
    reading.add_argument("--label-column", default="label", metavar="NAME", help="default: label")
    reading.add_argument("--encoding", default="utf-8", metavar="NAME", help="of the files (default: utf-8)")
    shared.add_common(result, models=models.NAMES, default=models.DEFAULT)
    reading.add_argument(
        "--unlabelled",
        type=Path,
        metavar="PATH",
        help="a folder with .txt files, or a .txt file with a text per line, that are learned from first: what the"
        " words around a word are says much of what a text is about. Takes up to half an hour on two cores, on top of"
        " --minutes",
    )
    tokens = result.add_argument_group("tokens")
    tokens.add_argument(
        "--tokens",
        choices=("auto", "words", "characters"),
        default="auto",
        help="what a text is cut into (default: auto, which is characters for short texts and for scripts without"
        " spaces, else words)",
    )
    tokens.add_argument(
        "--max-tokens", type=int, default=MAX_TOKENS, metavar="N", help=f"longer texts are cut (default: {MAX_TOKENS})"
    )
    tokens.add_argument("--vocabulary-size", type=int, metavar="N", help="most frequent tokens that are kept")
    tokens.add_argument(
        "--vectors",
        metavar="NAME|FILE",
        help="start the embedding of --model lstm from these: a file, or a name that torchtext downloads, such as"
        " glove.6B.300d",
    )
    return result


def train(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Check, read, fit, measure, write.

    Raises:
        PyClassifyError: something that a person can mend.
    """
    shared.check_common(options)
    _check(options)
    path = options.data or data.download(options.dataset, Path("data"))
    splits, seen = _look(options, path, _splits(options, path))
    if options.check:
        return
    transform = _transform(options, splits)
    _announce(splits, transform)
    defaults = models.training_defaults(
        options.model, examples=len(splits.train), pretrained=options.unlabelled is not None
    )
    config = shared.train_config(options, defaults, autocast=False)
    batches = [
        data.TextBatches(part, transform, batch_size=config.batch_size)
        for part in (splits.train, splits.validation, splits.test)
    ]
    model_arguments = _arguments(options, splits, transform, batches[0])
    torch.manual_seed(options.seed)
    model = models.build(options.model, labels=len(splits.labels), **model_arguments)
    if options.vectors and not options.resume:
        size = int(model_arguments["embedding_size"])
        table = data.vectors(options.vectors, transform.vocabulary, dimensions=size, cache=Path("data/vectors"))
        model.load_vectors(table)  # type: ignore[operator]  # only --model lstm comes here, see _check
    remark = ""
    if options.unlabelled:
        corpus, remark = _corpus(options, splits, transform)
        print(remark, flush=True)
        if not (options.resume or options.measure):
            _pretrain(options, corpus, model.deep)  # type: ignore[arg-type]  # nor does --model lstm come here
    pipeline.run(
        pipeline.Job(
            out=options.out,
            kind="text",
            splits=splits,
            model_name=options.model,
            arguments=model_arguments,
            model=model,
            transform=transform,
            train=batches[0],
            validation=batches[1],
            test=batches[2],
            config=config,
            device=pick(options.device),
            command=shared.command_line(MODULE, arguments),
            baseline=lambda: baseline.fit_and_answer(splits.train, splits.test.items, tokens=transform.tokens),
            resume=options.resume,
            measure_only=options.measure,
            about=" ".join((options.about, remark)).strip(),
            data_license=options.data_license,
            hub_dataset=options.hub_dataset,
            names=given_names(options, splits.labels),
            findings=seen,
        )
    )


def _splits(options: argparse.Namespace, path: Path) -> Splits[str]:
    splits = data.read(
        path,
        test=options.test,
        text_column=options.text_column,
        label_column=options.label_column,
        encoding=options.encoding,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
    )
    for each in splits.skipped:
        print(f"left out {each.name}: {each.reason}", file=sys.stderr)
    given_names(options, splits.labels)  # which are refused before the training, not after it
    return replace(splits, name=options.data_name or splits.name)


def _look(options: argparse.Namespace, path: Path, splits: Splits[str]) -> tuple[Splits[str], DataLook]:
    """Look at the texts, keep twins on one side of our own splits, and with --fix leave out what is safe."""
    found = twins.find([text for part in splits.parts.values() for text in part.items])
    splits, found, _ = settle(options, splits, found, "texts")
    items = [text for part in splits.parts.values() for text in part.items]
    seen = look(
        splits,
        found,
        sizes={"characters": list(map(len, items)), "words": [len(text.split()) for text in items]},
        name=lambda text: f"“{text[:EXCERPT]}…”" if len(text) > EXCERPT else f"“{text}”",
        things="texts",
        hidden=hidden_files(path),
    )
    show(seen, "texts", is_whole=options.check)
    return splits, seen


def _corpus(
    options: argparse.Namespace, splits: Splits[str], transform: TextTransform
) -> tuple[pretraining.Corpus, str]:
    """The texts to train on and the unlabelled ones, without those kept to choose by or to test, and a word on them."""
    found = unlabelled.read(options.unlabelled, encoding=options.encoding)
    more = unlabelled.without(found, splits.validation.items, splits.test.items, splits.train.items)
    corpus = pretraining.corpus_of((*splits.train.items, *more), transform)
    passes = pretraining.passes_over(corpus)
    return corpus, (
        f"A part of the model learned first to foretell the words around a word, from {len(more):,} unlabelled texts"
        f" and those to train on: {len(corpus.ids):,} {transform.tokens}, read {passes:.1f} times."
    )


def _pretrain(options: argparse.Namespace, corpus: pretraining.Corpus, model: regions.Regions) -> None:
    began, device = time.perf_counter(), pick(options.device)
    with tqdm(desc="foretelling words", unit=" steps", disable=None, leave=False) as bar:

        def show(progress: pretraining.PretrainingProgress) -> None:
            bar.total = progress.steps
            bar.set_postfix_str(f"loss {progress.loss:.3f}", refresh=False)
            bar.update(progress.step - bar.n)

        kept = shared.state_path(options.out).with_name("pretrained.pt")
        loss = pretraining.pretrain_once(model, corpus, path=kept, seed=options.seed, device=device, on_step=show)
    print(f"loss {loss:.3f} after {time.perf_counter() - began:.0f} s", flush=True)


def _check(options: argparse.Namespace) -> None:
    if options.unlabelled and options.model != models.DEFAULT:
        raise ConfigError(f"--unlabelled goes with --model {models.DEFAULT} alone.")
    if options.vectors and options.model != "lstm":
        raise ConfigError("--vectors goes with --model lstm; the default model learns its own embedding.")
    if options.vectors:
        data.check_vectors(options.vectors)
    if options.max_tokens < 3:
        raise ConfigError(f"--max-tokens must be at least 3, got {options.max_tokens}")
    if options.vocabulary_size is not None and options.vocabulary_size < 3:
        raise ConfigError(f"--vocabulary-size must be at least 3, got {options.vocabulary_size}")


def _transform(options: argparse.Namespace, splits: Splits[str]) -> TextTransform:
    texts = splits.train.items
    tokens = options.tokens
    if tokens == "auto":
        # the tutorial's program reads words; a character LSTM would be another model
        tokens = "words" if options.model == "lstm" else data.choose_tokens(texts)
    vocabulary = data.build_vocabulary(
        texts,
        tokens=tokens,
        max_size=options.vocabulary_size or MAX_VOCABULARY[tokens],
        min_frequency=2 if len(texts) >= 1000 else 1,
    )
    return TextTransform(vocabulary, tokens=tokens, max_tokens=options.max_tokens)


def _arguments(
    options: argparse.Namespace, splits: Splits[str], transform: TextTransform, train_batches: data.TextBatches
) -> dict[str, Any]:
    return models.arguments_for(
        options.model,
        vocabulary_size=len(transform.vocabulary),
        labels=len(splits.labels),
        tokens=transform.tokens,
        examples=len(splits.train),
        total_tokens=train_batches.tokens,
        pretrained=options.unlabelled is not None,
    )


def _announce(splits: Splits[str], transform: TextTransform) -> None:
    print(
        f"{splits.name}: {len(splits.labels)} labels; {len(splits.train):,} texts to train on,"
        f" {len(splits.validation):,} to choose by, {len(splits.test):,} to test with, {len(splits.skipped):,} left"
        f" out; read as {transform.tokens}, a vocabulary of {len(transform.vocabulary):,}",
        flush=True,
    )


if __name__ == "__main__":
    main()
