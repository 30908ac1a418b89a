"""ONNX models: what is in them, and exact rewritings of them."""
