"""Options of XLA's compiler."""

import mmap
from importlib.util import find_spec
from pathlib import Path


def knows(option: str) -> bool:
    """Whether jaxlib has an option; compiling with one that it has not fails."""
    spec = find_spec("jaxlib")
    folders = spec.submodule_search_locations if spec else None
    for library in Path((folders or ["."])[0]).glob("libjax_common.*"):
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            return text.find(option.encode()) >= 0
    return False


# For programs that are small: compiling them takes longer than running. The second halves what the
# first leaves.
QUICK: dict[str, bool | int] = {"xla_backend_optimization_level": 0}
if knows("xla_cpu_use_fusion_emitters"):
    QUICK["xla_cpu_use_fusion_emitters"] = False
