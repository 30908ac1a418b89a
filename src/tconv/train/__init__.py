"""Learning to segment: data, training, evaluation and prediction, on Lightning and torchmetrics.

Data passes through this package in the order `data` (a folder) or `brain` (built in) -> `batches` (crops,
augmentation, order) -> `module` (loss and measures of an FCN) -> `run` (one training run in a folder) ->
`checkpoint` -> `evaluate`, `predict`. Nothing is imported here, so that a command line can list its
commands before it loads PyTorch.
"""
