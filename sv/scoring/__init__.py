"""Scores of trials."""
