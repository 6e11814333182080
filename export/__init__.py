"""Leaving torch: ONNX files and the check that they compute the same."""
