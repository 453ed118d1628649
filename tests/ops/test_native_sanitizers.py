"""The native kernels under AddressSanitizer and UndefinedBehaviorSanitizer, with random calls."""

import subprocess
from pathlib import Path

import pytest

from attn_jax.ops.native import library, source

CALLS = 50_000
SANITIZE = (
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-g1",
)


@pytest.mark.slow
@pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")
def test_no_call_leaves_its_arrays_or_leaves_a_result_unwritten(tmp_path):
    driver, program = Path(__file__).with_name("native_fuzz.cc"), tmp_path / "native_fuzz"
    kernels = Path(source.__file__).parent
    flags = [flag for flag in source.arguments() if flag != "-shared"]
    command = [*library._compiler(), *flags, *SANITIZE, "-I", kernels, driver, "-pthread"]
    subprocess.run([*command, "-o", program], check=True)
    done = subprocess.run([program, str(CALLS), "0"], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-4000:]
    counts = dict(part.rsplit(" ", 1) for part in done.stdout.strip().split(", "))
    assert int(counts["calls"]) == CALLS
    assert min(map(int, counts.values())) > CALLS / 20  # every kind is met
