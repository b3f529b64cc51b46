"""A trained system for others: an ONNX model from samples to embedding, and the card that tells of it."""
