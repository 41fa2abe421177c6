"""The crash-point method: each step is broken off, or refused, at each of its calls in turn.

A step (finalise, deliver, clean up, retention, migrate) is run once, and every call that it makes on the data folder is
counted. Then it is run again for each of them: killed there, or told that the disk is full, broken or read-only. After
each, the service's own way on is gone (what is due is run), and the contract is looked at. Source of the idea: SQLite,
"How SQLite is tested", 3.3 crash testing.

    shim.c        counts the calls, and strikes at the n-th
    shim.py       builds it, arms it, reads what it wrote
    steps.py      what is run, on which data folder
    child.py      a process that has everything loaded, and forks for each run
    contract.py   what has to be true, at the moment of the kill and in the end
    points.py     every point of every step
    __main__.py   all of them, as a table: `make crash-test`
"""
