"""Features, voice activity, normalisation and deltas, as Kaldi computes them."""
