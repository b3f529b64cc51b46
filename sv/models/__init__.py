"""Embedding networks: trunks, poolings, heads. Shape suffixes: B batch, T frames, F features, C channels."""
