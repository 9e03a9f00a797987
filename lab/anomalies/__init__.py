"""What a reader may see while orders run: `cut` looks, `counts` judges, `run` does it beside a load.

The names are those of the literature. A *dirty read* is of something that is undone later (G1a, Adya, *Weak
Consistency*, PhD thesis, MIT 1999, section 4.2). A *fractured read* sees some of what belongs together and
not the rest (Bailis et al., *Scalable Atomic Visibility with RAMP Transactions*, SIGMOD 2014, section 3).
"""
