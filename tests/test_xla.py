"""An option of the compiler is given only where jaxlib has it."""

from tests.xla import knows


def test_what_jaxlib_has_is_known_and_what_it_has_not_is_not():
    assert knows("xla_force_host_platform_device_count")
    assert not knows("xla_cpu_have_no_such" + "_option")
