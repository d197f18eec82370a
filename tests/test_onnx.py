"""Every network exported to ONNX gives the same probabilities in another runtime."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pyclassify import checkpoint, modality
from pyclassify.manifest import Network
from pyclassify.text import networks
from pyclassify.text.transform import Tokens
from tests.test_text_networks import FewBatches, make_words, pad

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# exporting a text network takes ten seconds, most of it in torch's tracing
pytestmark = pytest.mark.slow

CHECKPOINTS = sorted(path.parent for path in (Path(__file__).parent.parent / "checkpoints").glob("*/config.json"))
VOCABULARY = 300
TOLERANCE = 1e-3
SHAPES = [(1, 1), (1, 40), (2, 2), (3, 7), (17, 33)]
"""Texts in a batch, and tokens of the longest; none is the shape of the export."""

Inputs = tuple[Tensor, ...]


class Exported:
    """A network in onnxruntime, callable with tensors like the one that it was made from."""

    def __init__(self, network: nn.Module, sample: Inputs) -> None:
        names = ["images"] if len(sample) == 1 else ["ids", "lengths"]
        dynamic = [{0: torch.export.Dim.DYNAMIC} for _ in names]
        if len(names) == 2:
            dynamic[0][1] = torch.export.Dim.DYNAMIC
        with warnings.catch_warnings():
            # torch's exporter copies a class of its own that torch calls deprecated
            warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
            program = torch.onnx.export(
                network,
                sample,
                dynamo=True,
                dynamic_shapes=tuple(dynamic),
                input_names=names,
                output_names=["logits"],
                verbose=False,
            )
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        content = program.model_proto.SerializeToString()
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        assert [node.name for node in self.session.get_inputs()] == names

    def __call__(self, *inputs: Tensor) -> Tensor:
        names = [node.name for node in self.session.get_inputs()]
        (logits,) = self.session.run(["logits"], {k: v.numpy() for k, v in zip(names, inputs, strict=True)})
        return torch.from_numpy(logits)


@torch.inference_mode()
def probabilities(network: Any, inputs: Inputs) -> np.ndarray[Any, Any]:
    logits: Tensor = network(*inputs)
    return logits.softmax(dim=1).numpy()


def check(network: nn.Module, exported: Exported, batches: Sequence[Inputs]) -> None:
    answers = []
    for inputs in batches:
        answers.append(probabilities(network, inputs))
        np.testing.assert_allclose(probabilities(exported, inputs), answers[-1], atol=TOLERANCE)
    # a network that answers everything alike would agree with anything
    assert np.ptp(np.concatenate(answers), axis=0).max() > 0.02


# Images


def random_images(count: int, size_px: int, seed: int) -> Tensor:
    """Return noise (N, 3, H, W), each image with another contrast and colour."""
    generator = torch.Generator().manual_seed(seed)
    contrast, colour = (torch.randn(count, size, 1, 1, generator=generator) for size in (1, 3))
    return torch.randn(count, 3, size_px, size_px, generator=generator) * contrast + colour


def run_in(network: nn.Module, size_px: int) -> nn.Module:
    """Set random biases, and statistics of batch norms that are neither 0 nor 1."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            if name.startswith("linear"):
                parameter.mul_(60)
        network.train()
        for seed in range(3):
            network(random_images(8, size_px, seed) * 1.7 + 0.3)
    return network.eval()


@pytest.mark.parametrize(("name", "size_px"), [("small_convnet", 32), ("small_convnet", 128), ("simple_cnn", 32)])
def test_networks_for_images(name: str, size_px: int) -> None:
    torch.manual_seed(1)
    settings = Network(name=name, arguments={"size_px": size_px})
    network = run_in(modality.get("image").build(settings, num_labels=5), size_px)
    exported = Exported(network, (random_images(2, size_px, 0),))
    check(network, exported, [(random_images(count, size_px, 9 + count),) for count in (1, 3, 8)])


# Texts


def random_texts(count: int, longest: int, *, vocabulary: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = [longest, *torch.randint(1, longest + 1, (count - 1,), generator=generator).tolist()]
    # frequent tokens are many, so that n-grams come again
    return [
        ((torch.rand(length, generator=generator) ** 3 * (vocabulary - 1)).long() + 1).tolist() for length in lengths
    ]


def batches_of_ids(vocabulary: int) -> Iterator[Inputs]:
    for seed, (count, longest) in enumerate(SHAPES):
        yield pad(random_texts(count, longest, vocabulary=vocabulary, seed=100 + seed))
    ids, lengths = pad(random_texts(4, 9, vocabulary=vocabulary, seed=3), extra=5)  # padding that no text needs
    yield ids, lengths
    yield torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 3])  # nothing, and nothing but padding


def prepared(tokens: str, num_labels: int) -> nn.Module:
    """Return a default network whose n-gram table knows some texts."""
    torch.manual_seed(2)
    arguments = networks.arguments_for(
        "wide_deep",
        vocabulary_size=VOCABULARY,
        num_labels=num_labels,
        tokens=tokens,
        num_examples=200,
        num_tokens=4_000,
    )
    network = networks.build("wide_deep", num_labels=num_labels, **arguments)
    rows = random_texts(200, 30, vocabulary=VOCABULARY, seed=5)
    network.prepare(FewBatches(rows, [row[0] % num_labels for row in rows]))  # type: ignore[operator]
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return network.eval()


@pytest.mark.parametrize(("tokens", "num_labels"), [("words", 2), ("words", 4), ("characters", 2)])
def test_the_default_network_for_text(tokens: str, num_labels: int) -> None:
    network: Any = prepared(tokens, num_labels)
    check(network, Exported(network, pad([[2, 3, 4], [5, 6, 7, 8]])), list(batches_of_ids(VOCABULARY)))
    # without its n-grams the answers are others, so that they are exported too
    inputs = pad(random_texts(16, 30, vocabulary=VOCABULARY, seed=5))
    before = probabilities(network, inputs)
    network.wide.table.weight.zero_()
    assert np.abs(probabilities(network, inputs) - before).max() > 0.02


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_the_default_network_with_scores_of_words(tokens: Tokens) -> None:
    network, transform = make_words(tokens)
    texts = ["the good", "so nice, nice and poor: the best", "awful", "a poor film\u00f1", "great"]
    batches = [transform.collate([transform(text).tensor for text in part]) for part in (texts, texts[1:2], texts[2:])]
    check(network, Exported(network, batches[2]), batches)


class _OnnxLstm(nn.Module):
    """The operator LSTM of ONNX with the weights of one of torch.

    torch's exporter (2.12) writes an LSTM out step by step and so fixes the length of all texts; its older exporter,
    which knows the operator, is deprecated.
    """

    def __init__(self, lstm: Any) -> None:
        super().__init__()
        self.hidden_size = lstm.hidden_size
        self.weight_ih, self.weight_hh, bias_ih, bias_hh = (
            self._reordered(parameter.detach())
            for parameter in (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0)
        )
        self.bias = torch.cat([bias_ih, bias_hh], dim=1)

    @staticmethod
    def _reordered(parameter: Tensor) -> Tensor:
        """Reorder gates: torch stacks input, forget, cell, output; ONNX stacks input, output, forget, cell."""
        i, f, g, o = parameter.chunk(4)
        return torch.cat([i, o, f, g]).unsqueeze(0)

    def forward(self, embedded: Tensor) -> tuple[Tensor, None]:
        """Return the states (N, L, H) of (N, L, D)."""
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
    arguments = {"vocabulary_size": VOCABULARY, "embedding_size": 300, "hidden_size": 256}
    network: Any = networks.build("lstm", num_labels=3, **arguments).eval()
    with torch.no_grad():
        network.output.weight.mul_(8)
    copy: Any = networks.build("lstm", num_labels=3, **arguments).eval()
    copy.load_state_dict(network.state_dict())
    copy.lstm = _OnnxLstm(network.lstm)
    check(network, Exported(copy, pad([[2, 3, 4], [5, 6, 7, 8]])), list(batches_of_ids(VOCABULARY)))


@pytest.mark.parametrize("path", CHECKPOINTS, ids=[path.name for path in CHECKPOINTS])
def test_shipped_checkpoints(path: Path) -> None:
    loaded = checkpoint.load(path)
    transform: Any = loaded.transform
    if loaded.kind == "image":
        generator = torch.Generator().manual_seed(0)
        shape = (3, transform.size_px, transform.size_px)
        tensors = [torch.randint(0, 256, shape, generator=generator).to(torch.uint8) for _ in range(6)]
        batches = [transform.collate(tensors[:count]) for count in (1, 3, 6)]
        sample = transform.collate(tensors[:2])
    else:
        batches = list(batches_of_ids(len(transform.vocabulary)))
        sample = pad([[2, 3, 4], [5, 6, 7, 8]])
    check(loaded.network, Exported(loaded.network, sample), batches)
