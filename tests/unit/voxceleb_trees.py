"""Small trees in VoxCeleb's layouts, and the programs that prepare them."""

import subprocess
import sys

from kaldi_files import ROOT


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not read here")


def ids(files):
    return sorted(file.replace("/", "-") for file in files)


def prepare(program, *arguments):
    """A program of local/, as a recipe runs it: (exit code, stdout, stderr)."""
    command = [sys.executable, str(ROOT / f"local/{program}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    return done.returncode, done.stdout, done.stderr


def refused(program, *arguments):
    """The program's one line on stderr; the folder that its last argument names is not made."""
    code, _, stderr = prepare(program, *arguments)
    assert code == 1
    assert stderr.startswith(f"{program}: ")
    assert stderr.count("\n") == 1
    assert not arguments[-1].exists()
    return stderr
