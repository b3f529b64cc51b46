"""Runs as stage 0 leaves them, for tests."""

from sv.run import Run


def made_run(exp, name, seed, system, waveform=None):
    """EXP/NAME/seedN with its configuration, in place of one that is there."""
    run = Run.plan(exp, name, seed, system, waveform)
    run.write()
    return run
