"""Reverberation, noise, music and babble: what is done to waveforms, and the copies of a set that are made of it."""
