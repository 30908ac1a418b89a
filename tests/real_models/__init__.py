"""Small converters of foreign models to ONNX, for tests alone: they know what those models hold, no more."""
