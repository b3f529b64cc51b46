"""What the end-to-end tests share: the programs, and one tiny corpus of synthetic speech."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))  # for what makes corpora


@pytest.fixture(scope="session")
def run_sh():
    """Run ./run.sh with arguments, from any folder, with this interpreter's packages."""

    def call(*arguments, cwd=ROOT, **environment):
        env = {**os.environ, "SV_PYTHON": sys.executable, **environment}
        return subprocess.run(
            [ROOT / "run.sh", *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A tiny generated corpus, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("a corpus") / "vox one"
    sizes = ["--dev-speakers", "12", "--test-speakers", "6", "--sessions", "3", "--utts-per-session", "2", "--nj", "2"]
    subprocess.run(
        [sys.executable, ROOT / "local" / "generate_mini.py", *sizes, folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return folder
