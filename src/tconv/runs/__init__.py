"""What every training run in a folder shares, whatever it trains: its log, checkpoints, notes and curves.

`log` (log.csv, notes on stderr, the progress bar), `checkpoints` (written atomically, read without pickled
objects), `ending` (Ctrl-C and errors of other processes in one line), `settings` (checks of numbers),
`processes` (those that train together), `figures` (pictures and curves of a report). Nothing is imported
here: `processes` and `settings` need no PyTorch, and a command line is shown before it is loaded.
"""
