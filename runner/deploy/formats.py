"""The formats of ``runner export``."""

FORMATS = {"weights": ".pt", "safetensors": ".safetensors", "torch_export": ".pt2", "onnx": ".onnx"}
"""By name, the extension of the files."""
