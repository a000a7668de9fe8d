"""Memory that stacks free stays with the process."""

import platform

import pytest

PROGRAM = """
import resource, sys, torch
if sys.argv[1] == "kept":
    from torchrl_drigm.trainers.stack.freed_memory import keep_freed_memory
    assert keep_freed_memory()
for i in range(22):
    if i == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(48 * 2**20, dtype=torch.uint8).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_blocks_that_come_and_go_cost_no_new_pages(python, tmp_path):
    """Twenty blocks of 48 MB: at 4 kB a page, 12,288 each; huge pages would make them fewer."""
    faults = {}
    for how in ("kept", "handed back"):
        done = python("-c", PROGRAM, how, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        faults[how] = int(done.stdout)
    assert faults["kept"] < 100
    assert faults["handed back"] > 10 * faults["kept"] + 400
