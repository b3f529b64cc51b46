"""What all tests need of the process they run in."""

import signal

# A shell ignores Ctrl-C for what it starts in the background, and so do all programs started from there.
signal.signal(signal.SIGINT, signal.default_int_handler)
