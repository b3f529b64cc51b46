"""Samplers, loader, loop and checkpoints."""
