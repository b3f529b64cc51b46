"""Commands of `sv.cli` run in the tests' process, their jobs one after the other, as starting torch takes seconds."""

import importlib
import sys

import pytest

import sv.cli


def run_command(monkeypatch, capsys, name, *options):
    """A command's main as `python -m sv.cli.NAME` runs it: (exit code, stdout, stderr)."""
    code = exit_code(monkeypatch, name, *options)
    out, err = capsys.readouterr()
    return (1, out, f"{code}\n") if isinstance(code, str) else (code, out, err)


def exit_code(monkeypatch, name, *options):
    """What a command's main ends with, a number or the line that it fails with, where a module's fixture calls it."""
    module = importlib.import_module(f"sv.cli.{name}")

    def run_array(module_name, arguments, jobs, log_dir, done, **_):
        for job in range(1, jobs + 1):
            if not done(job):
                monkeypatch.setattr(sys, "argv", [module_name, *arguments, "--nj", str(jobs), "--job", str(job)])
                module.main()

    monkeypatch.setattr("sv.launch.run_array", run_array)
    monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        sv.cli.run(module.main, module.__file__)
    return ended.value.code


def refused(result):
    """The one line of a command that failed."""
    code, _, stderr = result
    assert code == 1
    assert stderr.count("\n") == 1
    return stderr
