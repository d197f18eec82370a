"""Every network leaves Python: exported to ONNX, another program gets the same probabilities from it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyclassify import checkpoint
from pyclassify.image import models as image_models
from pyclassify.text import models as text_models
from pyclassify.text.lstm import Lstm
from tests.test_text_models import FewBatches, pad

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# An export of a text network takes ten seconds, most of it in torch's tracing.
pytestmark = pytest.mark.slow

CHECKPOINTS = sorted(path.parent for path in (Path(__file__).parent.parent / "checkpoints").glob("*/config.json"))
VOCABULARY = 300
TOLERANCE = 1e-3
SHAPES = [(1, 1), (1, 40), (2, 2), (3, 7), (17, 33)]
"""Texts in a batch and tokens of the longest; none is that of the export."""

Inputs = tuple[Tensor, ...]


class Exported:
    """A network in the onnxruntime; callable with tensors like the one it was made from."""

    def __init__(self, model: nn.Module, sample: Inputs) -> None:
        names = ["pictures"] if len(sample) == 1 else ["ids", "lengths"]
        moving = [{0: torch.export.Dim.DYNAMIC} for _ in names]
        if len(names) == 2:
            moving[0][1] = torch.export.Dim.DYNAMIC
        with warnings.catch_warnings():
            # torch's exporter copies a class of its own that torch calls deprecated
            warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
            program = torch.onnx.export(
                model,
                sample,
                dynamo=True,
                dynamic_shapes=tuple(moving),
                input_names=names,
                output_names=["logits"],
                verbose=False,
            )
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        content = program.model_proto.SerializeToString()
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        assert [each.name for each in self.session.get_inputs()] == names

    def __call__(self, *inputs: Tensor) -> Tensor:
        names = [each.name for each in self.session.get_inputs()]
        (logits,) = self.session.run(["logits"], {k: v.numpy() for k, v in zip(names, inputs, strict=True)})
        return torch.from_numpy(logits)


@torch.inference_mode()
def probabilities(model: Any, inputs: Inputs) -> np.ndarray[Any, Any]:
    return model(*inputs).softmax(dim=1).numpy()


def check(model: nn.Module, exported: Exported, batches: Sequence[Inputs], *, apart: float = 0.02) -> None:
    answers = []
    for inputs in batches:
        answers.append(probabilities(model, inputs))
        np.testing.assert_allclose(probabilities(exported, inputs), answers[-1], atol=TOLERANCE)
    # a network that answers all alike would agree with anything
    assert np.ptp(np.concatenate(answers), axis=0).max() > apart


# Pictures


def pictures(count: int, size_px: int, seed: int) -> Tensor:
    """Noise, of another contrast and colour in each."""
    generator = torch.Generator().manual_seed(seed)
    contrast, colour = (torch.randn(count, size, 1, 1, generator=generator) for size in (1, 3))
    return torch.randn(count, 3, size_px, size_px, generator=generator) * contrast + colour


def run_in(model: nn.Module, size_px: int) -> nn.Module:
    """Random biases, and batch norms with statistics that are neither 0 nor 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            if name.startswith("linear"):
                parameter.mul_(60)
        model.train()
        for seed in range(3):
            model(pictures(8, size_px, seed) * 1.7 + 0.3)
    return model.eval()


@pytest.mark.parametrize(("name", "size_px"), [("small_convnet", 32), ("small_convnet", 128), ("simple_cnn", 32)])
def test_networks_for_pictures(name: str, size_px: int) -> None:
    torch.manual_seed(1)
    model = run_in(image_models.build(name, labels=5, size_px=size_px), size_px)
    exported = Exported(model, (pictures(2, size_px, 0),))
    check(model, exported, [(pictures(count, size_px, 9 + count),) for count in (1, 3, 8)])


# Texts


def texts(count: int, longest: int, *, vocabulary: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = [longest, *torch.randint(1, longest + 1, (count - 1,), generator=generator).tolist()]
    # frequent tokens are many, so that n-grams come again
    return [
        ((torch.rand(length, generator=generator) ** 3 * (vocabulary - 1)).long() + 1).tolist() for length in lengths
    ]


def batches_of_ids(vocabulary: int) -> Iterator[Inputs]:
    for seed, (count, longest) in enumerate(SHAPES):
        yield pad(texts(count, longest, vocabulary=vocabulary, seed=100 + seed))
    ids, lengths = pad(texts(4, 9, vocabulary=vocabulary, seed=3), extra=5)  # padding that no text needs
    yield ids, lengths
    yield torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 3])  # nothing, and nothing but padding


def learned(tokens: str, labels: int, *, pretrained: bool = False) -> nn.Module:
    """A default network with an n-gram table that knows some texts, and both parts with a say."""
    torch.manual_seed(2)
    arguments = text_models.arguments_for(
        text_models.DEFAULT,
        vocabulary_size=VOCABULARY,
        labels=labels,
        tokens=tokens,
        examples=200,
        total_tokens=4_000,
        pretrained=pretrained,
    )
    model = text_models.build(text_models.DEFAULT, labels=labels, **arguments)
    rows = texts(200, 30, vocabulary=VOCABULARY, seed=5)
    batches = FewBatches(rows, [row[0] % labels for row in rows])
    model.prepare(batches)  # type: ignore[operator]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


@pytest.mark.parametrize(
    ("tokens", "labels", "pretrained"),
    [("words", 2, False), ("words", 4, False), ("characters", 2, False), ("words", 2, True)],
)
def test_the_default_network_for_text(tokens: str, labels: int, pretrained: bool) -> None:
    model = learned(tokens, labels, pretrained=pretrained)
    check(model, Exported(model, pad([[2, 3, 4], [5, 6, 7, 8]])), list(batches_of_ids(VOCABULARY)))
    # the table has a say in it: without its entries the answers are others
    inputs = pad(texts(16, 30, vocabulary=VOCABULARY, seed=5))
    before = probabilities(model, inputs)
    model.wide.table.weight.zero_()
    assert np.abs(probabilities(model, inputs) - before).max() > 0.02


class _OnnxLstm(nn.Module):
    """The operator LSTM of ONNX with the weights of one of torch.

    torch's exporter (2.12) writes an LSTM out step by step and so fixes the length of all texts; its older exporter,
    which knows the operator, is deprecated.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.hidden_size = lstm.hidden_size
        self.weight_ih, self.weight_hh, bias_ih, bias_hh = (
            self._reordered(each.detach())
            for each in (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0)
        )
        self.bias = torch.cat([bias_ih, bias_hh], dim=1)

    @staticmethod
    def _reordered(parameter: Tensor) -> Tensor:
        """torch stacks input, forget, cell, output; ONNX input, output, forget, cell. One direction in front."""
        i, f, g, o = parameter.chunk(4)
        return torch.cat([i, o, f, g]).unsqueeze(0)

    def forward(self, embedded: Tensor) -> tuple[Tensor, None]:
        """(N, L, D) to the states (N, L, H)."""
        count, length = embedded.shape[:2]
        states, *_ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (embedded.transpose(0, 1), self.weight_ih, self.weight_hh, self.bias),
            attrs={"hidden_size": self.hidden_size},
            dtypes=[torch.float32] * 3,
            shapes=[(length, 1, count, self.hidden_size), *[(1, count, self.hidden_size)] * 2],
        )
        return states.squeeze(1).transpose(0, 1), None


def test_the_lstm() -> None:
    torch.manual_seed(3)
    arguments = text_models.arguments_for(
        "lstm", vocabulary_size=VOCABULARY, labels=3, tokens="words", examples=200, total_tokens=4_000
    )
    model = text_models.build("lstm", labels=3, **arguments).eval()
    assert isinstance(model, Lstm)
    with torch.no_grad():
        model.output.weight.mul_(8)
    twin = text_models.build("lstm", labels=3, **arguments).eval()
    twin.load_state_dict(model.state_dict())
    twin.lstm = _OnnxLstm(model.lstm)
    check(model, Exported(twin, pad([[2, 3, 4], [5, 6, 7, 8]])), list(batches_of_ids(VOCABULARY)))


@pytest.mark.parametrize("path", CHECKPOINTS, ids=[path.name for path in CHECKPOINTS])
def test_shipped_checkpoints(path: Path) -> None:
    loaded = checkpoint.load(path)
    if loaded.kind == "image":
        size_px = loaded.transform.size_px  # type: ignore[union-attr]
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randint(0, 256, (3, size_px, size_px), generator=generator).to(torch.uint8) for _ in range(6)]
        batches = [loaded.transform.collate(drawn[:count]) for count in (1, 3, 6)]
        check(loaded.model, Exported(loaded.model, loaded.transform.collate(drawn[:2])), batches)
    else:
        known = len(loaded.transform.vocabulary)  # type: ignore[union-attr]
        check(loaded.model, Exported(loaded.model, pad([[2, 3, 4], [5, 6, 7, 8]])), list(batches_of_ids(known)))
