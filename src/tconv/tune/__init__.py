"""`tconv tune`: what work costs on this machine, and which plans are the fastest, kept for later processes.

`samples` says which plans are timed, `fitting` fits the numbers of a cost record to the times, `costs` does
both within a budget and keeps a record only if its plans are faster. `problems` reads the layers that a user
names, `competition` finds the fastest plan of each. The file of the results is planning's
(`planning/tuning_file.py`).
"""
