"""Models in ONNX: checked before anything is built, read once, written atomically; built on onnx-ir."""
