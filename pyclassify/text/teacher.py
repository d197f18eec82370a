"""A pretrained language model as a teacher: it learns the labels and answers many texts, which the network learns from.

The teacher is an encoder of the Hub, or a folder of one, with a linear layer on the mean of its token vectors. A few
labelled texts fit that layer alone; more of them fine-tune the encoder. Then the teacher answers the sentences and
clauses of all texts, labelled or not, and the default network learns its probabilities beside the labels (Hinton,
Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network"). The checkpoint holds that network alone, or with
`keep_teacher` the teacher itself, see `text.encoder`.

The package transformers is optional. Weights are read from safetensors only, and no code from the Hub runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.dataset import FOLDS, Examples, Splits
from pyclassify.device import fast_dtype
from pyclassify.errors import ConfigError, DataError, InputError
from pyclassify.modality import OnStep
from pyclassify.tables import PathSource, guess_text_column, read_rows
from pyclassify.text import encoder as encoders
from pyclassify.text.data import TextBatches
from pyclassify.text.encoder import PARTS, PieceTransform
from pyclassify.text.transform import LINE_BREAK, TextTransform, fold, tokenize
from pyclassify.training.config import TextConfig, state_path

FINE_TUNE_FROM: Final = 1_000
"""With fewer labelled texts the encoder stays as it is, and a logistic regression reads its vectors."""

MAX_FINE_TUNED: Final = 20_000
"""Texts that the teacher is fine-tuned on at most: short ones first, then the ends of long ones."""

MAX_PIECES: Final = 300_000
"""Sentences and clauses that the teacher answers at most, drawn from all texts."""

MAX_WORDS: Final = 16_000
"""Single words that the teacher answers, too, the most frequent ones: some opinions are no longer."""

PIECE_WORDS: Final = (2, 40)
"""Words of the shortest and of the longest piece."""

LABEL_SHARE: Final = 0.5
"""Weight of the true label in what the network learns of a labelled text; the teacher's probabilities have the rest."""

READ_TOKENS: Final = 72
"""Tokens that the teacher reads at once."""

END_TOKENS: Final = (16, 56)
"""Tokens of the end of a longer text that the teacher is fine-tuned on, at least and at most: its pieces are as short,
and the verdict often stands at the end (Sun and others 2019, "How to Fine-Tune BERT for Text Classification?")."""

_EPOCHS: Final = 2
_LEARNING_RATE: Final = 5e-5
_WEIGHT_DECAY: Final = 0.01
_WARM_UP: Final = 0.06
_TRAIN_BATCH: Final = 32
_ANSWER_BATCH: Final = 64
_STRENGTHS: Final = (0.1, 1.0, 10.0, 100.0)
"""Inverse strengths of regularization that the logistic regression chooses from."""
_PROGRESS_EVERY: Final = 20

_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？])[\"')\]]*\s+|(?<=[。！？])")
_CLAUSE_END: Final = re.compile(
    r"(?<=[,;:])\s+|\s+[-–—]+\s+|\s+(?=(?:but|although|though|because|however|yet)\s)", re.I
)


# Options


def check(config: TextConfig) -> None:
    """Refuse a teacher that cannot work, before any data is read.

    Raises:
        ConfigError: options contradict each other, transformers is missing, or the folder holds no model.
        DataError: there is no file with unlabelled texts.
    """
    if config.teacher is None:
        if config.keep_teacher:
            raise ConfigError("keep_teacher_needs_teacher")
        if config.unlabelled is not None:
            raise ConfigError("unlabelled_needs_teacher")
        return
    for option in ("unlabelled", "epochs", "minutes"):
        if config.keep_teacher and getattr(config, option) is not None:
            raise ConfigError("keep_teacher_or_option", option=option)
    if config.network != "wide_deep":
        raise ConfigError("teacher_needs_wide_deep", network=config.network)
    if config.unlabelled is not None and not config.unlabelled.is_file():
        raise DataError("text_path_missing", path=config.unlabelled, option="--unlabelled")
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError("teacher_needs_transformers")
    folder = Path(config.teacher)
    if folder.is_dir() and not ((folder / "config.json").is_file() and any(folder.glob("*.safetensors"))):
        raise ConfigError("teacher_folder_incomplete", path=folder)


def read_unlabelled(config: TextConfig) -> tuple[str, ...]:
    """Read the texts of `config.unlabelled`, a table or a text per line; empty without one.

    Of a table, the column is that of the labelled texts if it has one, otherwise the one that looks like texts. Rows
    that cannot be used are left out.

    Raises:
        DataError: the file cannot be read, or has no text.
    """
    if config.unlabelled is None:
        return ()
    source = PathSource(config.unlabelled)
    try:
        column = guess_text_column(source)
        texts = tuple(row.text for row in read_rows(source, text_column=column, encoding=config.encoding) if row.text)
    except InputError as error:
        raise DataError(error.code, **error.fields) from error
    if not texts:
        raise DataError("table_empty", name=source.name)
    return texts


# Pieces


def pieces(text: str) -> list[str]:
    """Cut a text into its sentences, and those into their clauses; each has as many words as PIECE_WORDS allows.

    >>> pieces("It was long, but never dull. Go!")
    ['It was long, but never dull.', 'It was long,', 'but never dull.']
    """
    found = []
    for sentence in _SENTENCE_END.split(" ".join(LINE_BREAK.sub(" ", text).split())):
        clauses = [clause for clause in _CLAUSE_END.split(sentence) if clause]
        found += [sentence, *(clauses if len(clauses) > 1 else ())]
    least, most = PIECE_WORDS
    return [piece for piece in found if least <= len(piece.split()) <= most]


def draw_pieces(texts: Iterable[str], *, known: Iterable[str] = (), limit: int, seed: int) -> tuple[str, ...]:
    """Draw different pieces of all texts, in random order; capitals make no difference.

    Args:
        texts: to cut.
        known: pieces to leave out.
        limit: of their number.
        seed: of the draw.
    """
    different: dict[str, str] = {}
    for piece in chain.from_iterable(map(pieces, texts)):
        different.setdefault(piece.lower(), piece)
    left_out = {text.lower() for text in known}
    drawn = [piece for folded, piece in different.items() if folded not in left_out]
    random.Random(seed).shuffle(drawn)
    return tuple(drawn[:limit])


def frequent_words(texts: Iterable[str], *, limit: int) -> tuple[str, ...]:
    """Return the most frequent words of letters, in small letters."""
    counts = Counter(chain.from_iterable(tokenize(text, tokens="words") for text in texts))
    words = sorted((word for word in counts if word.isalpha()), key=lambda word: (-counts[word], word))
    return tuple(words[:limit])


# The teacher


class Teacher(nn.Module):
    """An encoder of transformers and a linear layer on the mean of its token vectors.

    Args:
        encoder: returns `last_hidden_state` (N, L, H).
        tokenizer: of the encoder.
        num_labels: K.
    """

    def __init__(self, encoder: nn.Module, tokenizer: Any, *, num_labels: int) -> None:
        super().__init__()
        self.encoder, self.tokenizer, self.num_labels = encoder, tokenizer, num_labels
        self.output = nn.Linear(encoder.config.hidden_size, num_labels)  # type: ignore[union-attr, arg-type]
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)
        self.unseen: Tensor | None = None
        """Probabilities (N, K) of the training texts from fits without them, if the encoder was left as it is."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Map token ids (N, L) and mask (N, L) to logits (N, K)."""
        logits: Tensor = self.output(functional.dropout(self.vectors(ids, mask), 0.1, self.training))
        return logits.float()

    def vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Map token ids (N, L) and mask (N, L) to the mean of the token vectors, (N, H)."""
        states: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(2).to(states.dtype)
        mean: Tensor = (states * weights).sum(dim=1) / weights.sum(dim=1)
        return mean

    # Fitting

    def fit(
        self, train: Examples[str], validation: Examples[str], *, seed: int = 0, on_step: OnStep | None = None
    ) -> None:
        """Learn the labels: the last layer alone from few texts, all layers from FINE_TUNE_FROM texts on.

        Args:
            train: labelled texts.
            validation: of which the better epoch is chosen; it may be empty.
            seed: of order, dropout and folds.
            on_step: told of the progress.
        """
        if len(train) < FINE_TUNE_FROM:
            self._fit_output(train, seed)
        else:
            self._fine_tune(train, validation, seed, on_step)
        self.eval()

    def _fit_output(self, train: Examples[str], seed: int) -> None:
        """Fit a logistic regression to the vectors; cross-validation chooses its strength."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        features = functional.normalize(self._read(train.items, self.vectors)).numpy()
        label_ids = np.asarray(train.label_ids)
        folds = min(FOLDS, int(np.bincount(label_ids, minlength=self.num_labels).min()))
        best, strength = np.inf, _STRENGTHS[2]
        if folds > 1:
            parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
            for candidate in _STRENGTHS:
                machine = LogisticRegression(C=candidate, class_weight="balanced", max_iter=1000)
                answers = cross_val_predict(machine, features, label_ids, cv=parts, method="predict_proba")
                loss = -np.log(answers[np.arange(len(label_ids)), label_ids].clip(1e-9)).mean()
                if loss < best:
                    best, strength, self.unseen = loss, candidate, torch.from_numpy(answers).float()
        machine = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(features, label_ids)
        weight, bias = (torch.from_numpy(array).float() for array in (machine.coef_, machine.intercept_))
        if self.num_labels == 2:
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        with torch.no_grad():
            self.output.weight.copy_(weight)
            self.output.bias.copy_(bias)
        self._reads_normalized = True

    _reads_normalized = False

    def _fine_tune(self, train: Examples[str], validation: Examples[str], seed: int, on_step: OnStep | None) -> None:
        """Train all layers but the token embeddings, which a few thousand texts would only distort."""
        rows = self._encode_ends(train.items)
        chosen = _short_first(rows, MAX_FINE_TUNED, seed)
        rows, label_ids = _ends(rows, chosen, seed), torch.tensor([train.label_ids[i] for i in chosen])
        for embedding in self.encoder.modules():
            if isinstance(embedding, nn.Embedding):
                embedding.requires_grad_(False)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        num_steps = _EPOCHS * -(-len(rows) // _TRAIN_BATCH)
        step, best_accuracy, best_weights = 0, -1.0, None
        torch.manual_seed(seed)
        for epoch in range(_EPOCHS):
            self.train()
            for positions in _buckets(rows, _TRAIN_BATCH, seed=seed * 1_000 + epoch):
                share = step / num_steps
                for group in optimizer.param_groups:
                    group["lr"] = _LEARNING_RATE * min(share / _WARM_UP, (1 - share) / (1 - _WARM_UP))
                with self._autocast():
                    logits = self(*self._pad([rows[i] for i in positions]))
                loss = functional.cross_entropy(logits, label_ids[positions].to(logits.device))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                step += 1
                if on_step is not None and (step % _PROGRESS_EVERY == 0 or step == num_steps):
                    on_step("teacher", step, num_steps)
            if not len(validation):
                continue
            answers = self.logits(validation.items).argmax(dim=1)
            accuracy = (answers == validation.label_tensor()).double().mean().item()
            if accuracy > best_accuracy:
                best_accuracy = accuracy
                best_weights = {name: tensor.detach().clone() for name, tensor in self.state_dict().items()}
        if best_weights is not None:
            self.load_state_dict(best_weights)

    # Answering

    def logits(self, texts: Sequence[str], *, on_step: OnStep | None = None) -> Tensor:
        """Answer texts, (N, K) float32 on the CPU: the mean of the logits of the windows of a text."""
        self.eval()
        windows, owners = self._encode_windows(texts)
        answers = self._run(windows, self._answer, on_step)
        sums = torch.zeros(len(texts), self.num_labels).index_add_(0, owners, answers)
        return sums / torch.bincount(owners, minlength=len(texts)).unsqueeze(1)

    def word_vectors(self, words: Sequence[str], size: int) -> Tensor:
        """Return the principal components of the vectors of single words, (V, size), to begin an embedding with.

        Their standard deviation is 0.1, as that of random embeddings here. Missing components are zero.
        """
        vectors = self._read(words, self.vectors)
        vectors = vectors - vectors.mean(dim=0)
        directions = torch.linalg.svd(vectors, full_matrices=False).Vh[:size]
        components = vectors @ directions.T
        return functional.pad(0.1 * components / components.std().clamp(min=1e-9), (0, size - len(directions)))

    def _answer(self, ids: Tensor, mask: Tensor) -> Tensor:
        vectors = self.vectors(ids, mask).float()
        return functional.linear(
            functional.normalize(vectors) if self._reads_normalized else vectors, self.output.weight, self.output.bias
        )

    def _read(self, texts: Sequence[str], call: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        self.eval()
        return self._run(self._encode_ends(texts), call, None)

    @torch.inference_mode()
    def _run(
        self, rows: Sequence[list[int]], call: Callable[[Tensor, Tensor], Tensor], on_step: OnStep | None
    ) -> Tensor:
        """Call on token ids in batches of equal length; return the results (N, ...) in the order of the rows."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        results = []
        for start in range(0, len(order), _ANSWER_BATCH):
            with self._autocast():
                results.append(call(*self._pad([rows[i] for i in order[start : start + _ANSWER_BATCH]])).float().cpu())
            if on_step is not None and len(results) % _PROGRESS_EVERY == 0:
                on_step("lessons", min(start + _ANSWER_BATCH, len(order)), len(order))
        return torch.cat(results)[torch.tensor(order).argsort()].clone()

    def _autocast(self) -> torch.autocast:
        device = self.output.weight.device
        dtype = fast_dtype(device)
        return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)

    # Keeping

    def kept(self, *, sure_from: int) -> tuple[dict[str, Any], PieceTransform]:
        """Return what makes the network that is this teacher: the arguments of an `Encoder`, and its transform.

        The network takes the weights of `state_dict`.
        """
        tokenizer = self.tokenizer
        prefix, suffix = encoders.special_ids(tokenizer)
        part = READ_TOKENS - len(prefix) - len(suffix)
        unknown = next((i for i in (tokenizer.unk_token_id, tokenizer.pad_token_id) if i is not None), 0)
        config: Any = self.encoder.config
        arguments = {
            "model_type": config.model_type,
            "settings": encoders.architecture(config),
            "prefix": prefix,
            "suffix": suffix,
            "unknown": unknown,
            "part": part,
            "normalized": self._reads_normalized,
        }
        content = tokenizer.backend_tokenizer.to_str().encode()
        return arguments, PieceTransform(content, unknown=unknown, max_tokens=PARTS * part, sure_from=sure_from)

    # Reading

    def _encode_ends(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of the last tokens of each text."""
        self.tokenizer.truncation_side = "left"
        rows: list[list[int]] = self.tokenizer(list(map(_folded, texts)), truncation=True, max_length=READ_TOKENS)[
            "input_ids"
        ]
        return rows

    def _encode_windows(self, texts: Sequence[str]) -> tuple[list[list[int]], Tensor]:
        """Return the ids of at most PARTS parts of each text, and the position of the text of each part."""
        self.tokenizer.truncation_side = "right"
        windows, owners = [], []
        for position, text in enumerate(texts):
            parts = self.tokenizer(
                _folded(text), truncation=True, max_length=READ_TOKENS, return_overflowing_tokens=True
            )["input_ids"]
            # slow tokenizers return the parts flat
            parts = parts if parts and isinstance(parts[0], list) else [parts]
            for part in encoders.chosen_parts(len(parts)):
                windows.append(parts[part])
                owners.append(position)
        return windows, torch.tensor(owners)

    def _pad(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Return token ids (N, L) and mask (N, L) on the encoder's device."""
        ids = nn.utils.rnn.pad_sequence(
            [torch.tensor(row) for row in rows], batch_first=True, padding_value=self.tokenizer.pad_token_id or 0
        )
        mask = torch.arange(ids.shape[1]) < torch.tensor(list(map(len, rows))).unsqueeze(1)
        device = self.output.weight.device
        return ids.to(device), mask.long().to(device)


def load(source: str, *, num_labels: int, device: torch.device) -> Teacher:
    """Load an encoder with its tokenizer, from a folder or the Hub.

    Args:
        source: folder, or "user/name" on the Hub.
        num_labels: K.
        device: to compute on.

    Raises:
        ConfigError: there is no such model, or it cannot be used as an encoder.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    hide_progress: Any = logging.disable_progress_bar  # not typed where transformers is installed
    hide_progress()
    options = {"trust_remote_code": False, "local_files_only": Path(source).is_dir()}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        encoder = AutoModel.from_pretrained(source, use_safetensors=True, dtype=torch.float32, **options)
        return Teacher(encoder, tokenizer, num_labels=num_labels).to(device)
    except (OSError, ValueError, KeyError, AttributeError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ConfigError("teacher_unusable", source=source, reason=reason or type(error).__name__) from error


def _folded(text: str) -> str:
    return fold(text, lowercase=False)


def _short_first(rows: Sequence[list[int]], limit: int, seed: int) -> list[int]:
    """Return the positions of at most `limit` rows: those that were not cut, then others at random."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    return sorted(sorted(order, key=lambda i: len(rows[i]) >= READ_TOKENS)[:limit])


def _ends(rows: Sequence[list[int]], positions: Sequence[int], seed: int) -> list[list[int]]:
    """Return the rows at these positions; of those that were cut, the mark at the beginning and some last tokens."""
    generator = random.Random(seed)
    lengths = [generator.randint(*END_TOKENS) for _ in positions]
    pairs = zip((rows[i] for i in positions), lengths, strict=True)
    return [row if len(row) < READ_TOKENS else row[:1] + row[-length:] for row, length in pairs]


def _buckets(rows: Sequence[list[int]], batch_size: int, *, seed: int) -> list[list[int]]:
    """Return the positions of all rows in random batches of similar length."""
    generator = random.Random(seed)
    order = list(range(len(rows)))
    generator.shuffle(order)
    batches = []
    for start in range(0, len(order), 50 * batch_size):
        part = sorted(order[start : start + 50 * batch_size], key=lambda i: len(rows[i]))
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    generator.shuffle(batches)
    return batches


# Lessons


@dataclass(frozen=True, slots=True)
class Lessons:
    """What the network learns: texts, and for each of them the probability of each label.

    Args:
        texts: N of them: the labelled ones first, then single words and pieces.
        targets: (N, K) float32; each row sums to 1.
    """

    texts: tuple[str, ...]
    targets: Tensor

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.targets):
            raise ValueError(f"{len(self.texts)} texts but {len(self.targets)} targets")


class LessonBatches(TextBatches):
    """Lessons in batches, whose second part is probabilities (N, K) float32 in place of label ids.

    Args:
        lessons: texts that `transform` accepts.
        transform: encodes the texts.
        batch_size: texts per batch; the last one may have fewer.
    """

    def __init__(self, lessons: Lessons, transform: TextTransform, *, batch_size: int) -> None:
        examples = Examples(lessons.texts, tuple(lessons.targets.argmax(dim=1).tolist()))
        super().__init__(examples, transform, batch_size=batch_size)
        self._label_ids = lessons.targets


def fitted(config: TextConfig, splits: Splits[str], *, device: torch.device, on_step: OnStep | None = None) -> Teacher:
    """Load the teacher and fit it, if its weights were not kept; with `measure_only` those of the checkpoint follow.

    Args:
        config: names the teacher.
        splits: train to learn from, and validation to choose the teacher's epoch by.
        device: to compute on.
        on_step: told of the progress.

    Raises:
        ConfigError: the teacher cannot be loaded, or cannot be kept as it should be.
    """
    assert config.teacher is not None
    teacher = load(config.teacher, num_labels=len(splits.labels), device=device)
    if config.keep_teacher:
        encoders.check(config.teacher, teacher.encoder, teacher.tokenizer)
    if config.measure_only:
        teacher._reads_normalized = len(splits.train) < FINE_TUNE_FROM
        return teacher
    cached = _cache(config, splits, (*splits.train.items, *splits.validation.items))
    weights = cached.read("teacher-weights")
    if weights is not None:
        teacher._reads_normalized = bool(weights.pop("reads_normalized"))
        teacher.unseen = weights.pop("unseen", None)
        teacher.load_state_dict(weights)
        teacher.eval()
        return teacher
    teacher.fit(splits.train, splits.validation, seed=config.seed, on_step=on_step)
    extra = {"reads_normalized": torch.tensor(int(teacher._reads_normalized))}
    if teacher.unseen is not None:
        extra["unseen"] = teacher.unseen
    cached.write("teacher-weights", {**teacher.state_dict(), **extra})
    return teacher


def teach(
    config: TextConfig,
    splits: Splits[str],
    unlabelled: Sequence[str],
    *,
    device: torch.device,
    on_step: OnStep | None = None,
) -> tuple[Lessons, Teacher]:
    """Fit the teacher and let it answer the labelled texts and the pieces of all texts.

    Its weights and answers are kept beside the state of the training, so that after an interruption nobody waits for
    them twice.

    Args:
        config: names the teacher.
        splits: train to learn from, and validation to choose the teacher's epoch by.
        unlabelled: further texts.
        device: to compute on.
        on_step: told of the progress.

    Returns:
        The lessons, and the fitted teacher.

    Raises:
        ConfigError: the teacher cannot be loaded.
    """
    train = splits.train
    teacher = fitted(config, splits, device=device, on_step=on_step)
    words = frequent_words(chain(train.items, unlabelled), limit=MAX_WORDS)
    pieces_of_all = draw_pieces(chain(train.items, unlabelled), known=train.items, limit=MAX_PIECES, seed=config.seed)
    drawn = (*words, *pieces_of_all)
    texts = (*train.items, *drawn)
    cached = _cache(config, splits, texts)
    targets = functional.one_hot(train.label_tensor(), len(splits.labels)).float()
    # of a longer text the teacher has read a part only: there the label says more
    short = [i for i, text in enumerate(train.items) if len(text.split()) <= PIECE_WORDS[1]]
    answers = cached.read("teacher-answers")
    if answers is None:
        answers = {"logits": teacher.logits([*(train.items[i] for i in short), *drawn], on_step=on_step)}
        cached.write("teacher-answers", answers)
    probabilities = answers["logits"].softmax(dim=1)
    known = probabilities[: len(short)] if teacher.unseen is None else teacher.unseen[short]
    targets[short] = LABEL_SHARE * targets[short] + (1 - LABEL_SHARE) * known
    return Lessons(texts, torch.cat([targets, probabilities[len(short) :]])), teacher


def _cache(config: TextConfig, splits: Splits[str], texts: Sequence[str]) -> Cache:
    """Return where to keep what depends on the teacher, the labels and some texts."""
    digest = hashlib.sha256("\0".join((str(config.teacher), str(config.seed), *texts)).encode("utf-8", "surrogatepass"))
    digest.update(repr((splits.train.label_ids, splits.validation.label_ids)).encode())
    return Cache(state_path(config.out).parent if config.out is not None else None, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Cache:
    """Tensors that took long to compute, in files of a folder that are read again only for the same data.

    Args:
        folder: of the files; None to keep nothing.
        digest: of everything that the tensors depend on.
    """

    folder: Path | None
    digest: str

    def read(self, name: str) -> dict[str, Tensor] | None:
        """Return the tensors of a file; None if there is none, or if it is of other data or damaged."""
        if self.folder is None:
            return None
        try:
            with safe_open(self.folder / f"{name}.safetensors", framework="pt") as file:
                if (file.metadata() or {}).get("digest") != self.digest:
                    return None
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - the file is no mapping
        except (OSError, SafetensorError):
            return None

    def write(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write the tensors of a file."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f"{name}.unfinished"
        # clones, since tensors that share memory cannot be saved
        save_file(
            {key: tensor.detach().cpu().clone().contiguous() for key, tensor in tensors.items()},
            unfinished,
            metadata={"digest": self.digest},
        )
        unfinished.replace(self.folder / f"{name}.safetensors")
