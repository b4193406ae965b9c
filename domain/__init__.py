"""What Trueup knows about orders, transactions and the money between them.

Four rings, each importing only those to its right:

    usecases ─▶ rules | ports ─▶ model

`model` is what is, `rules` what follows from it (pure tables and functions), `ports` what we need of
the world, and `usecases` in which order things are done. The standard library is the only library here,
and even of it nothing that knows the time, the dice, the environment or a log.
"""
