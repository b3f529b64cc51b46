"""LDA, PLDA and what else stands between an embedding and a score."""
