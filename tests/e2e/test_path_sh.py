"""path.sh: the environment is made once, taken up again where it was cut short, and never made to tell a mistake.

No network: python3 is a script that writes down what it was asked for.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON3 = """#!/bin/sh
echo "${0##*/} $*" >> "$CALLS"
case "$*" in
  -) echo "lacks:" ;;
  "-m venv --clear "*)
    rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip install "*)
    echo "Collecting torch==2.11.0 (from -r requirements.txt (line 3))"
    echo "  Downloading torch-2.11.0.whl (800 MB)"
    echo "Installing collected packages: torch"
    exit "${PIP_CODE:-0}" ;;
esac
"""


class Clone:
    """A clone without .venv; `run` starts something in it, `calls` are those of python3 and of the environment's."""

    def __init__(self, folder):
        self.path, self.log, self.venv = folder / "a clone", folder / "calls", folder / "a clone" / ".venv"
        self.path.mkdir()
        for name in ("run.sh", "path.sh", "requirements.txt"):
            shutil.copy(ROOT / name, self.path)
        for name in ("recipes", "conf"):
            shutil.copytree(ROOT / name, self.path / name)
        shutil.copytree(ROOT / "tests", self.path / "tests", ignore=lambda at, names: {*names} - {"run.sh"})
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.program("python3")

    def program(self, name, text=PYTHON3):
        """Put a program on PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *words, **environment):
        env = {key: value for key, value in os.environ.items() if not key.startswith("SV_")}
        env |= {"PATH": f"{self.bin}:{env['PATH']}", "CALLS": str(self.log), **environment}
        self.log.write_text("")
        return subprocess.run(words, cwd=self.path, env=env, capture_output=True, text=True, check=False)

    def source(self, **environment):
        return self.run("bash", "-c", '. ./path.sh && echo "$SV_PYTHON"', **environment)

    @property
    def calls(self):
        """The first three words of each call but the question for python3's version."""
        calls = [line.split()[:4] for line in self.log.read_text().splitlines() if " -c " not in line]
        return [" ".join(words).removesuffix(" --clear") for words in calls]

    @property
    def is_whole(self):
        stamp = self.venv / "installed.txt"
        return stamp.exists() and stamp.read_bytes() == (self.path / "requirements.txt").read_bytes()


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


MADE = ["python -m pip --version", "python3 -m venv", "python -m pip install"]


def test_first_use_makes_the_environment_and_says_what_it_fetches(clone):
    """In a log a line a package; stdout is left to the caller."""
    result = clone.source()
    assert (result.returncode, result.stdout) == (0, f"{clone.venv}/bin/python\n")
    assert clone.is_whole
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"path.sh: making the Python environment in {clone.venv}")
    assert rest == ["path.sh: fetching torch==2.11.0", "path.sh: unpacking them"]


def test_a_whole_environment_is_only_used(clone):
    clone.source()
    result = clone.source()
    assert (result.stderr, clone.calls) == ("", [])
    assert result.stdout == f"{clone.venv}/bin/python\n"


def test_an_installation_that_failed_is_gone_on_with(clone):
    """pip's exit code counts, not that of what shows its progress; what it installed stays."""
    result = clone.source(PIP_CODE="1")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("path.sh: pip could not install requirements.txt")
    assert not clone.is_whole
    (clone.venv / "lib").mkdir()
    assert clone.source().returncode == 0
    assert clone.calls == ["python -m pip --version", "python -m pip install"]
    assert clone.is_whole
    assert (clone.venv / "lib").exists()


def test_other_requirements_are_installed_into_the_environment_that_is_there(clone):
    clone.source()
    with (clone.path / "requirements.txt").open("a") as requirements:
        requirements.write("another==1.0\n")
    assert clone.source().returncode == 0
    assert clone.calls == ["python -m pip --version", "python -m pip install"]
    assert clone.is_whole


@pytest.mark.parametrize("damage", ["no bin/python", "python is gone", "python has no pip", "python is gone later"])
def test_an_environment_that_cannot_be_gone_on_with_is_made_anew(clone, damage):
    """Cut short before pip was there, or the python3 that it was made with was taken away."""
    python = clone.venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    if damage.startswith("python is gone"):
        python.symlink_to("/nowhere/python3")
    if damage == "python has no pip":
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
    if damage.endswith("later"):
        shutil.copy(clone.path / "requirements.txt", clone.venv / "installed.txt")
    result = clone.source()
    assert result.returncode == 0, result.stderr
    assert clone.calls[-2:] == MADE[1:]
    assert clone.is_whole


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bogus"], "unknown option --bogus"),
        (["--recipe", "minni"], "unknown recipe minni"),
        (["--stage", "12"], "--stage takes a stage"),
        (["--data-root", "nusan=/tmp"], "has no data root nusan"),
        (["--recipe", "voxceleb"], "needs the root of voxceleb1"),
        (["--recipe", "voxceleb", "--data-root", "voxceleb1=/nowhere"], "/nowhere: no such folder"),
    ],
)
def test_a_mistake_is_told_before_anything_is_installed(clone, arguments, says):
    result = clone.run("./run.sh", *arguments)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert clone.calls == []
    assert not clone.venv.exists()


def test_list_needs_no_environment(clone):
    result = clone.run("./run.sh", "--list")
    assert (result.returncode, result.stderr) == (0, "")
    assert all(word in result.stdout for word in ("  mini ", "  xvector-small ", "stages: 0 data lists"))
    assert clone.calls == []


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("/bin/true", "SV_PYTHON=/bin/true does not run Python 3.11 or later"),
        ("/bin/false", "SV_PYTHON=/bin/false does not run Python 3.11 or later"),
        ("/nowhere/python", "SV_PYTHON=/nowhere/python is not a program"),
        ("/tmp", "SV_PYTHON=/tmp "),
    ],
)
def test_a_python_that_is_none_is_refused(clone, python, says):
    result = clone.run("./run.sh", "--list", SV_PYTHON=python)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"path.sh: {says}")
    assert "requirements.txt" in result.stderr


def test_a_relative_python_is_looked_for_where_the_caller_is(run_sh, tmp_path):
    """Not where run.sh is; every stage then has it by its whole path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    result = run_sh("--set", "epochs=3", cwd=tmp_path, SV_PYTHON="bin/python")
    assert "did you mean training.epochs?" in result.stderr


@pytest.mark.skipif(not shutil.which("dash"), reason="there is no dash here")
def test_another_shell_is_told_to_be_bash(clone):
    result = clone.run("dash", "run.sh", "--list")
    assert result.returncode == 1
    assert result.stderr == "run.sh: this is a bash script; start it as ./run.sh or bash run.sh\n"


@pytest.mark.parametrize("cdpath", ["/tmp", ".."])
def test_a_cdpath_leads_nowhere_else(clone, cdpath):
    """`cd tests` prints, and may land elsewhere, where CDPATH is exported."""
    (clone.path.parent / "recipes").mkdir()
    result = clone.run("bash", "run.sh", "--recipe", "minni", CDPATH=cdpath)
    assert result.stderr == "run.sh: unknown recipe minni; there is mini own sre16 voxceleb voxceleb2\n"


def test_the_tests_take_a_python_by_its_bare_name(clone):
    """shellcheck is beside it, or on PATH, not in the folder that the tests start in."""
    clone.program("mypython")
    clone.program("shellcheck")
    result = clone.run("tests/run.sh", "-k", "nothing", SV_PYTHON="mypython")
    assert result.returncode == 0, result.stderr
    assert clone.calls[-2:] == ["shellcheck -x -P SCRIPTDIR", "mypython -m pytest -m"]


def test_run_sh_without_options_begins_with_the_environment(clone):
    """It ended without a word, for want of options to remember."""
    result = clone.run("./run.sh", SV_PYTHON="/bin/true")
    assert result.returncode == 1
    assert "SV_PYTHON=/bin/true does not run Python" in result.stderr
