"""Records on disk: what was written is read back, and damage is told in one line."""

import json
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from attn_jax.data import Records, write_records
from tests.source_checks import refuses

RNG = np.random.default_rng(0)


def images(n: int) -> list[dict[str, np.ndarray]]:
    """Examples of fixed shape: an image and its label."""
    return [
        {"images": RNG.integers(0, 256, (4, 3, 1), np.uint8), "labels": np.array(i, np.int32)}
        for i in range(n)
    ]


def clips(lengths: list[int]) -> list[dict[str, np.ndarray]]:
    """Examples with two variable arrays, one of them along its second axis."""
    return [
        {
            "frames": RNG.normal(size=(n, 2)).astype(np.float32),
            "words": RNG.integers(1, 9, (3, n + 1)),
            "label": np.array(i, np.int16),
        }
        for i, n in enumerate(lengths)
    ]


def write_images(folder: Path, n: int = 40, shard_bytes: int = 160) -> list[dict[str, np.ndarray]]:
    """Ten images a shard, by default."""
    examples = images(n)
    write_records(folder, examples, shard_bytes=shard_bytes, about={"classes": 3})
    return examples


def write_clips(folder: Path, lengths: list[int]) -> list[dict[str, np.ndarray]]:
    examples = clips(lengths)
    write_records(folder, examples, variable={"frames": 0, "words": 1}, shard_bytes=100)
    return examples


def test_fixed_shapes_are_read_back(tmp_path: Path):
    examples = write_images(tmp_path)
    records = Records(tmp_path)
    assert len(records) == 40
    assert len([*tmp_path.glob("*.array_record")]) == 4
    assert records.about == {"classes": 3}
    assert [(spec.name, spec.shape) for spec in records.arrays] == [
        ("images", (4, 3, 1)),
        ("labels", ()),
    ]
    ids = np.array([[39, 0, 9], [10, 39, 20]])
    batch = records.read(ids)
    assert batch["labels"].tolist() == ids.tolist()
    assert {name: array.dtype for name, array in batch.items()} == {
        "images": np.uint8,
        "labels": np.int32,
    }
    for place, i in np.ndenumerate(ids):
        np.testing.assert_array_equal(batch["images"][place], examples[i]["images"])
    batch["images"][:] = 0  # a batch belongs to its reader
    np.testing.assert_array_equal(records.read(ids)["images"][0, 1], examples[0]["images"])


def test_variable_axes_are_padded_with_zeros(tmp_path: Path):
    lengths = [5, 0, 3, 8, 1]
    examples = write_clips(tmp_path, lengths)
    records = Records(tmp_path)
    assert records.lengths("frames").tolist() == lengths
    assert records.lengths("words").tolist() == [n + 1 for n in lengths]
    ids = np.array([2, 1, 2, 4])
    batch = records.read(ids)
    assert batch["frames"].shape == (4, 3, 2)
    assert batch["words"].shape == (4, 3, 4)
    assert batch["frames_length"].tolist() == [3, 0, 3, 1]
    assert batch["words_length"].dtype == np.int32
    for row, i in enumerate(ids):
        n = lengths[i]
        np.testing.assert_array_equal(batch["frames"][row, :n], examples[i]["frames"])
        np.testing.assert_array_equal(batch["words"][row, :, : n + 1], examples[i]["words"])
        assert not batch["frames"][row, n:].any()
        assert not batch["words"][row, :, n + 1 :].any()
        assert batch["label"][row] == i
    longer = records.read(ids.reshape(2, 2), pad_to={"frames": 9})
    assert longer["frames"].shape == (2, 2, 9, 2)
    np.testing.assert_array_equal(longer["frames"].reshape(4, 9, 2)[:, :3], batch["frames"])
    with refuses("pad_to must be one of frames, words; got 'label'"):
        records.read(ids, pad_to={"label": 5})
    with refuses(r"record 3 \(frames, words, label\): frames must be at most 5 long; got 8"):
        records.read(np.array([0, 3]), pad_to={"frames": 5})


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(
        arrays.arrays(np.int64, st.tuples(st.integers(0, 4), st.just(2))), min_size=1, max_size=6
    ),
    data=st.data(),
)
def test_any_ids_give_the_examples_that_were_written(values, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_records(folder, ({"x": value} for value in values), variable={"x": 0}, shard_bytes=64)
    ids = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), max_size=8)), np.int64)
    batch = Records(folder).read(ids)
    for row, (i, n) in enumerate(zip(ids, batch["x_length"], strict=True)):
        np.testing.assert_array_equal(batch["x"][row, :n], values[i])


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">i4", "uint64", "float16", "<f8"])
def test_dtypes_are_kept(dtype: str, tmp_path: Path):
    values = RNG.integers(0, 2, (3, 5)).astype(dtype)
    write_records(tmp_path, [{"x": value} for value in values])
    read = Records(tmp_path).read(np.arange(3))["x"]
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.dtype(dtype).newbyteorder("<")


def test_no_ids_give_an_empty_batch(tmp_path: Path):
    write_images(tmp_path / "images", 3)
    write_clips(tmp_path / "clips", [2, 1])
    none = np.zeros((0,), np.int32)
    assert Records(tmp_path / "images").read(none)["images"].shape == (0, 4, 3, 1)
    batch = Records(tmp_path / "clips").read(none.reshape(2, 0), pad_to={"words": 3})
    assert batch["words"].shape == (2, 0, 3, 3)


def test_threads_may_read_at_once(tmp_path: Path):
    examples = write_images(tmp_path)
    records, wrong = Records(tmp_path), []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(20):
            ids = rng.integers(0, 40, 16)
            expected = np.stack([examples[i]["images"] for i in ids])
            wrong.append((records.read(ids)["images"] != expected).any())

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 80


def resident_kib() -> int:
    """The memory of this process that is in use, KiB."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_reading_does_not_use_more_and_more_memory(tmp_path: Path):
    image = np.zeros((32, 32), np.uint8)
    write_records(tmp_path, ({"x": image} for _ in range(500)))
    records, rng = Records(tmp_path), np.random.default_rng(0)

    def read(batches: int) -> int:
        for _ in range(batches):
            records.read(rng.integers(0, 500, 32))
        return resident_kib()

    before = read(200)
    assert read(1000) - before < 4_000  # all batches together have 32,000 KiB


def test_an_interrupted_writing_is_refused_and_can_be_done_again(tmp_path: Path):
    def interrupted():
        yield from images(25)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path, interrupted(), shard_bytes=160)
    assert [*tmp_path.iterdir()]
    with refuses("with an index.json, which is written last", FileNotFoundError):
        Records(tmp_path)
    write_images(tmp_path, 3)
    assert len(Records(tmp_path)) == 3
    with refuses("holds records already"):
        write_images(tmp_path, 3)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_damaged_record_is_named(tmp_path: Path):
    write_images(tmp_path)
    shard = tmp_path / "00001.array_record"
    target = Records(tmp_path).read(np.array([12]))["images"].tobytes()
    flip(shard, shard.read_bytes().index(target))
    records = Records(tmp_path)
    with refuses(rf"{shard}: record 12 \(images, labels\) is damaged: "):
        records.read(np.array([3, 11, 12, 13]))
    assert records.read(np.array([3, 11, 13]))["labels"].tolist() == [3, 11, 13]


def test_every_damaged_byte_is_noticed(tmp_path: Path):
    examples = write_images(tmp_path, 4)
    shard = tmp_path / "00000.array_record"
    whole = shard.read_bytes()
    ids = np.arange(4)
    for place in (*range(0, 700, 7), *range(700, len(whole), 1999)):
        flip(shard, place)
        try:
            read = Records(tmp_path).read(ids)["images"]
        except ValueError as error:
            assert str(shard) in str(error)
        else:  # what ArrayRecord leaves unused
            np.testing.assert_array_equal(read, [example["images"] for example in examples])
        shard.write_bytes(whole)


@pytest.mark.parametrize("cut", [0, 100, 65_536, -1])
def test_a_shard_cut_short_is_refused(cut: int, tmp_path: Path):
    write_images(tmp_path)
    shard = tmp_path / "00002.array_record"
    shard.write_bytes(shard.read_bytes()[:cut])
    with refuses(str(shard)):
        Records(tmp_path)


def test_fewer_records_than_the_index_says(tmp_path: Path):
    write_images(tmp_path / "many", 10, 2**20)
    write_images(tmp_path / "few", 7, 2**20)
    shard = tmp_path / "many" / "00000.array_record"
    shard.write_bytes((tmp_path / "few" / "00000.array_record").read_bytes())
    with refuses(f"expected 10 records in {shard}; got 7"):
        Records(tmp_path / "many")
    shard.unlink()
    with refuses(f"expected 10 records in {shard}; there is no such file", FileNotFoundError):
        Records(tmp_path / "many")


@pytest.mark.parametrize("shape", [[4, 3, 2], [None, 3, 1]])
def test_records_of_another_size_than_the_index_says(shape: list, tmp_path: Path):
    write_images(tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    index["arrays"][0]["shape"] = shape
    (tmp_path / "index.json").write_text(json.dumps(index))
    with refuses(r"00001.array_record: record 15 \(images, labels\): expected .*; got"):
        Records(tmp_path).read(np.array([15, 2]))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 2, "expected format 1; got 2"),
        ("format", None, "there is no 'format' in it"),
        ("shards", [10, -1], "expected a whole number, at least 0; got -1"),
        ("shards", ["10"], "expected a whole number, at least 0; got '10'"),
        ("shards", [], "expected at least one array and one shard"),
        ("arrays", [], "expected at least one array and one shard"),
        ("arrays", [{"name": "x"}], "there is no 'dtype' in it"),
        ("arrays", [{"name": "x", "dtype": "O", "shape": []}], "x has dtype object and shape"),
        ("arrays", [{"name": "x", "dtype": "words", "shape": []}], "data type 'words'"),
        ("arrays", [{"name": "x", "dtype": "<i4", "shape": [None, None]}], "x has dtype int32"),
        ("arrays", 3, "not iterable"),
        ("about", None, "there is no 'about' in it"),
    ],
)
def test_an_index_that_cannot_be_read(key: str, value, message: str, tmp_path: Path):
    write_images(tmp_path, 3)
    index = json.loads((tmp_path / "index.json").read_text())
    if value is None:
        del index[key]
    else:
        index[key] = value
    (tmp_path / "index.json").write_text(json.dumps(index))
    with refuses(rf"{tmp_path}/index.json cannot be read: .*{message}"):
        Records(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\0\0"])
def test_an_index_that_is_no_json_object(text: str, tmp_path: Path):
    write_images(tmp_path, 3)
    (tmp_path / "index.json").write_text(text)
    with refuses(f"{tmp_path}/index.json cannot be read: "):
        Records(tmp_path)


def test_lengths_that_cannot_be_read(tmp_path: Path):
    write_clips(tmp_path, [1, 2])
    records = Records(tmp_path)
    with refuses("the variable arrays are frames, words; got 'label'"):
        records.lengths("label")
    np.save(tmp_path / "lengths.npy", np.zeros((2, 3), np.int32))
    with refuses(r"lengths.npy: expected \[2, 2\] lengths; got \[2, 3\]"):
        records.lengths("words")
    (tmp_path / "lengths.npy").write_bytes(b"words")
    with refuses("lengths.npy cannot be read"):
        records.lengths("words")


@pytest.mark.parametrize("ids", [[40], [-1], [0, 41]])
def test_ids_out_of_range(ids: list[int], tmp_path: Path):
    write_images(tmp_path)
    with refuses("ids must lie in 0 to 39; got"):
        Records(tmp_path).read(np.array(ids))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x": np.zeros((2, 4))}, r"example 1: x must be float64 of shape \[any, 3\]; .*\[2, 4\]"),
        ({"x": np.zeros(3)}, r"example 1: x must be float64 of shape \[any, 3\]; .*\[3\]"),
        ({"x": np.zeros((2, 3), int)}, "example 1: x must be float64 .*; got int64"),
        ({"y": np.zeros((2, 3))}, "example 1: expected the arrays x; got y"),
        ({}, "example 1: expected the arrays x; got "),
    ],
)
def test_an_example_unlike_the_first_is_named(other: dict, message: str, tmp_path: Path):
    with refuses(message):
        write_records(tmp_path, [{"x": np.zeros((5, 3))}, other], variable={"x": 0})


@pytest.mark.parametrize(
    ("example", "variable", "message"),
    [
        (
            {"x": np.array(["text"])},
            {},
            "example 0: x must be bool, integer or float; got dtype <U4",
        ),
        ({"x": np.zeros(3)}, {"x": 1}, "variable axis of x must be one of its 1 axes; got 1"),
        ({"x": np.zeros(3)}, {"y": 0}, "example 0: there is no y among x"),
        ({"x": np.zeros(3), "x_length": np.zeros(())}, {"x": 0}, "x_length is the name of"),
        ({}, {}, "example 0: expected at least one array"),
    ],
)
def test_examples_that_cannot_be_written(example, variable, message: str, tmp_path: Path):
    with refuses(message):
        write_records(tmp_path, [example], variable=variable)


def test_what_the_index_cannot_keep_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_records(tmp_path, images(2), about={"classes": np.int64(3)})
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def full_disk():
    """No file may grow beyond 200,000 bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_named(tmp_path: Path):
    written = []

    def many():
        for number in range(10_000):
            written.append(number)
            yield {"x": np.zeros(1000)}

    with refuses(f"{tmp_path}/00000.array_record cannot be written: .*too large", OSError):
        write_records(tmp_path, many())
    assert len(written) < 9_000
    with refuses("index.json", FileNotFoundError):
        Records(tmp_path)


def test_no_examples(tmp_path: Path):
    with refuses("expected at least one example; got none"):
        write_records(tmp_path, [])


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_images(tmp_path / "a", 3)
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    message = r"records need array_record: pip install 'attn_jax\[experiments\]'"
    with refuses(message, ModuleNotFoundError):
        Records(tmp_path / "a")
    with refuses(message, ModuleNotFoundError):
        write_images(tmp_path / "b", 3)
