"""The tutorial's tools: vectors, downloads that are verified, whole and leave nothing behind, torchtext's classes."""

from __future__ import annotations

import functools
import http.server
import io
import logging
import ssl
import tarfile
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchtext

from pyclassify.errors import ConfigError, DataError
from pyclassify.text.datasets import (
    IMDB,
    VECTORS,
    BucketIterator,
    Field,
    GloVe,
    check_vectors,
    download,
    glove,
    load_vectors,
)

VOCABULARY = ("<pad>", "<unk>", "good", "film", "rare")
LINES = "good 1 2 3 4\nfilm 5 6 7 8\nother 0 0 0 0\n"


def process_state() -> tuple[object, ...]:
    """What a download must leave as it was."""
    return (
        ssl._create_default_https_context,
        ssl._create_unverified_context,
        logging.getLogger().handlers.copy(),
        torchtext.vocab.Vectors.cache,
        torchtext.vocab.logger,
        urllib.request._opener,  # type: ignore[attr-defined]
    )


# Vectors


@pytest.mark.parametrize("head", ["", "3 4\n"])
def test_vectors_of_a_file(tmp_path: Path, head: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(head + LINES)
    before = process_state()
    result = load_vectors(path, VOCABULARY, dimensions=4)
    assert before == process_state()
    assert result.shape == (5, 4)
    assert result.dtype == torch.float32
    assert result[0].tolist() == [0.0] * 4
    assert result[2].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert result[3].tolist() == [5.0, 6.0, 7.0, 8.0]
    assert 0 < result[4].abs().max() < 1
    assert torch.equal(result, load_vectors(path, VOCABULARY))
    assert not torch.equal(result[4], load_vectors(path, VOCABULARY, seed=1)[4])
    assert capfd.readouterr() == ("", "")


def test_a_changed_file_of_vectors_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    load_vectors(path, VOCABULARY)
    path.write_text(LINES.replace("good 1", "good 9"))
    assert load_vectors(path, VOCABULARY)[2, 0] == 9


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "vectors_file_unreadable"),
        ("good\n", "vectors_file_unreadable"),
        ("good 1 2 3\nfilm 1 2\n", "vectors_file_unreadable"),
        ("good 1 2 x\n", "vectors_file_unreadable"),
        ("nothing 1 2 3\n", "vectors_without_tokens"),
        ("good 1 2 nan\n", "vectors_not_finite"),
        ("\0\1\2", "vectors_file_unreadable"),
        ("good 1 2\n", "vectors_file_unreadable"),
    ],
)
def test_malformed_vectors(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        load_vectors(path, VOCABULARY)
    assert error.value.code == code
    assert "vectors.txt" in str(error.value)


def test_vectors_of_other_dimensions_or_names(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    with pytest.raises(DataError) as error:
        load_vectors(path, VOCABULARY, dimensions=300)
    assert error.value.code == "vectors_of_other_size"
    with pytest.raises(DataError) as error:
        load_vectors("nowhere.txt", VOCABULARY)
    assert error.value.code == "vectors_unknown"
    assert "glove.6B.300d" in str(error.value)
    with pytest.raises(DataError) as error:  # before anything is downloaded
        check_vectors("glove.6B.50d", dimensions=300)
    assert error.value.code == "vectors_of_other_size"
    check_vectors("glove.6B.300d", dimensions=300)
    assert "glove.twitter.27B.25d" in VECTORS


# Downloads


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder of this machine in the place of the hosts that torchtext downloads from."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    ) as running:
        url = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(IMDB, "urls", [f"{url}/aclImdb_v1.tar.gz"])
        monkeypatch.setitem(GloVe.url, "6B", f"{url}/glove.6B.zip")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        running.shutdown()
        thread.join()


def write_imdb(folder: Path) -> None:
    """Write an archive like IMDB's: 20 texts to train on and 20 to test with."""
    with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as archive:
        for split in ("train", "test"):
            for number in range(20):
                label, word = (("pos", "good"), ("neg", "bad"))[number % 2]
                content = f"This film is {word} {'very ' * number}".encode()
                add(archive, f"aclImdb/{split}/{label}/{number}_7.txt", content)


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def test_a_data_set_is_downloaded_once(tmp_path: Path, server: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_imdb(server)
    before = process_state()
    path = download("imdb", tmp_path / "data")
    assert before == process_state()
    assert path == tmp_path / "data" / "imdb" / "aclImdb"
    assert [entry.name for entry in path.parent.iterdir()] == ["aclImdb"]
    assert len(list(path.glob("*/*/*.txt"))) == 40
    (server / "aclImdb_v1.tar.gz").unlink()
    assert download("imdb", tmp_path / "data") == path
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [None, b"", b"<html>sign in</html>", b"\x1f\x8b\x08half"])
def test_a_failed_download_leaves_nothing_and_says_how_to_do_it_by_hand(
    tmp_path: Path, server: Path, content: bytes | None
) -> None:
    if content is not None:
        (server / "aclImdb_v1.tar.gz").write_bytes(content)
        (server / "glove.6B.zip").write_bytes(content)
    for _ in range(2):
        with pytest.raises(DataError) as error:
            download("imdb", tmp_path / "data")
        assert error.value.code == "texts_not_downloaded"
        assert error.value.fields["place"] == tmp_path / "data" / "imdb" / "aclImdb"
        assert str(error.value.fields["url"]).startswith("http")
        with pytest.raises(DataError) as error:
            load_vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache")
        assert error.value.code == "texts_not_downloaded"
        assert error.value.fields["place"] == tmp_path / "cache" / "glove.6B.50d.txt"
    assert list((tmp_path / "data" / "imdb").iterdir()) == []


@pytest.mark.parametrize("name", ["../../outside.txt", "/outside.txt"])
def test_an_archive_writes_nothing_outside_its_folder(tmp_path: Path, server: Path, name: str) -> None:
    with tarfile.open(server / "aclImdb_v1.tar.gz", "w:gz") as archive:
        add(archive, name if name.startswith(".") else f"{tmp_path}{name}", b"text")
    with pytest.raises(DataError):
        download("imdb", tmp_path / "data")
    assert not list(tmp_path.rglob("outside.txt"))


def test_links_of_an_archive_are_left_out(tmp_path: Path, server: Path) -> None:
    write_imdb(server)
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(server / "aclImdb_v1.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("aclImdb/train")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
        add(archive, "aclImdb/train/pos/0.txt", b"good")
        add(archive, "aclImdb/test/pos/0.txt", b"good")
    assert (download("imdb", tmp_path / "data") / "train" / "pos" / "0.txt").read_bytes() == b"good"
    assert not list(outside.iterdir())


def test_a_connection_that_breaks_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken) as running:
        monkeypatch.setitem(GloVe.url, "6B", f"http://127.0.0.1:{running.server_port}/glove.6B.zip")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with pytest.raises(DataError) as error:
            glove("glove.6B.50d", tmp_path / "cache")
        running.shutdown()
        thread.join()
    assert error.value.code == "texts_not_downloaded"
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IMDB, "urls", ["http://host.invalid/aclImdb_v1.tar"])
    monkeypatch.setitem(GloVe.url, "6B", "http://host.invalid/glove.6B.zip")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for attempt in (lambda: download("imdb", tmp_path), lambda: glove("glove.6B.300d", tmp_path)):
        with pytest.raises(DataError) as error:
            attempt()
        assert error.value.code == "texts_unreachable"
    with pytest.raises(ConfigError) as unknown:
        download("mnist", tmp_path)
    assert unknown.value.code == "option_unknown"


def test_certificates_are_checked_whatever_the_process_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = []

    def refuse(*_: object, context: ssl.SSLContext, timeout: float) -> None:
        contexts.append((context, timeout))
        raise OSError("refused")

    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for attempt in (lambda: download("imdb", tmp_path), lambda: glove("glove.6B.300d", tmp_path)):
        with pytest.raises(DataError):
            attempt()
    assert len(contexts) == 2
    for context, timeout in contexts:
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert 0 < timeout < 120


def zipped(path: Path, content: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.6B.50d.txt", content)


def test_vectors_are_downloaded_once(tmp_path: Path, server: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = "".join(f"{word} " + " ".join([str(n)] * 50) + "\n" for n, word in enumerate(("good", "film"), 1))
    zipped(server / "glove.6B.zip", content)
    before = process_state()
    first = load_vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache")
    assert before == process_state()
    assert first[3].tolist() == [2.0] * 50
    (server / "glove.6B.zip").unlink()
    assert torch.equal(first, load_vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache"))
    assert capfd.readouterr() == ("", "")
    (tmp_path / "cache" / "glove.6B.50d.txt.pt").write_bytes(b"broken")
    with pytest.raises(DataError) as error:
        load_vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache")
    assert error.value.code == "vectors_cache_unreadable"


def test_half_a_download_is_replaced(tmp_path: Path, server: Path) -> None:
    zipped(server / "glove.6B.zip", "good" + " 1" * 50 + "\nfilm" + " 2" * 50 + "\n")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "glove.6B.zip").write_bytes(b"PK\x03\x04 half")
    assert load_vectors("glove.6B.50d", VOCABULARY, cache=cache)[3, 0] == 2
    (cache / "glove.6B.50d.txt.pt").unlink()
    (cache / "glove.6B.50d.txt").write_text("good" + " 1" * 50 + "\n")
    assert load_vectors("glove.6B.50d", VOCABULARY, cache=cache)[3, 0] == 2


def test_ctrl_c_stops_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(urllib.request, "urlopen", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_vectors("glove.6B.50d", VOCABULARY, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


# The tutorial's program


def test_the_tutorials_program_runs_on_its_classes(tmp_path: Path, server: Path) -> None:
    write_imdb(server)
    zipped(server / "glove.6B.zip", "good" + " 1" * 50 + "\nfilm" + " 2" * 50 + "\n")
    download("imdb", tmp_path)
    text = Field(lower=True, include_lengths=True, batch_first=True)
    label = Field(sequential=False, unk_token=None)
    train, test = IMDB.splits(text, label, root=str(tmp_path))
    text.build_vocab(train, vectors=glove("glove.6B.50d", tmp_path / "vectors"))
    label.build_vocab(train)
    assert text.vocab.vectors[text.vocab.stoi["film"]].tolist() == [2.0] * 50
    batches, _ = BucketIterator.splits((train, test), batch_size=8)
    shapes = [(batch.text[0].shape, batch.text[1].tolist(), batch.label.tolist()) for batch in batches]
    assert sum(shape[0] for shape, _, _ in shapes) == 20
    assert {label_id for _, _, label_ids in shapes for label_id in label_ids} == {0, 1}
