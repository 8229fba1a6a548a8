"""What `fit` does: from its arguments to the last epoch.

Reading order, from the inside out: `step.py` (one step of learning), `measures.py` (its loss and metrics), `traced.py`
(a step made fast by the engine), `data.py` and `batches.py` (from arguments to batches), `recovery.py` (a spoilt step
is taken back), `resuming.py` (a run goes on after a crash), `loop.py` (epochs of batches), `trainer.py` (`fit`,
`evaluate`, `predict`).  `checks.py` says what is wrong with data before a long run starts.
"""
