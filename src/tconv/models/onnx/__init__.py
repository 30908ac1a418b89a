"""Models in ONNX: guarded at the door, read once, written whole or not at all; on top of onnx-ir."""
