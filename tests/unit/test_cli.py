"""`sv.cli`: how a command ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])


def started(tmp_path, program):
    """A command whose file holds `program`."""
    path = tmp_path / "busy.py"
    path.write_text(program)
    return subprocess.run(
        [sys.executable, path], env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "program",
    [
        "os.kill(os.getpid(), 2)\nimport time\ntime.sleep(9)\n",
        "sv.cli.run(lambda: os.kill(os.getpid(), 2), __file__)\n",
    ],
    ids=["while it imports", "while it works"],
)
def test_an_interrupt_is_one_line_at_any_time(tmp_path, program):
    """What a shell calls 130: the code, or the signal itself."""
    # Whoever starts the tests in the background has made them ignore interrupts.
    listens = "import os, signal, sv.cli\nsignal.signal(2, signal.default_int_handler)\n"
    result = started(tmp_path, listens + program)
    assert (result.stdout, result.stderr) == ("", "busy: interrupted\n")
    assert result.returncode in (130, -signal.SIGINT)


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path):
    """While it imports, as anywhere."""
    result = started(tmp_path, "import sv.cli\n{}['key']\n")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("KeyError: 'key'\n")
