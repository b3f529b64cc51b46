"""Data directories, trials, audio in, archives, validation."""
