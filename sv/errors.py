"""The errors that a user can cause. Their message is one line: what is wrong, where, and what to do."""


class UserError(Exception):
    """A mistake in input, configuration or options. `sv.cli` prints its message and exits with 1, no traceback."""


class DataError(UserError):
    """A data directory, list, archive or recording that is not what it should be; names file, line and key."""


class AudioError(DataError):
    """A recording that cannot be read, is empty, or has the wrong rate; names the file and the reason."""


class Diverged(UserError):
    """A training whose loss has become infinite or not a number; says so in the words of `SAYS`."""

    SAYS = "is no longer a number"


class ConfigError(UserError):
    """An unknown, missing or ill-typed key in a configuration; names the key and the nearest right one."""
