"""A forked process: NumPy goes on computing there, and an engine with threads of its own says spawn, at once.

Each test forks a Python of its own, and a child that hangs is an error after SECONDS.
"""

from __future__ import annotations

import os

import pytest

from small_nets import run_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork; the tests run elsewhere")

COMPILED = ["jax", pytest.param("tensorflow", marks=pytest.mark.tensorflow)]

PROGRAM = """
import os, pickle, signal, sys, threading, warnings
import numpy as np
import netchu
from netchu import GradientTape, Tensor, Variable, ops
from small_nets import classifier, clusters

warnings.simplefilter("ignore")  # JAX's own remark at a fork
SECONDS = 60

def forked(work):
    '''What `work` returns or raises in a forked child, as a text.'''
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)  # a child that hangs is ended
        try:
            said = f"answer {work()!r}"
        except BaseException as error:
            said = f"{type(error).__name__} {error}"
        os.write(writes, said.encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said or "hangs"
"""

USES = """
x, y = clusters()
model = classifier()
model.fit(x, y, verbose=0)
model.predict(x, verbose=0)
tensor, weight = Tensor([[1.0, 2.0], [3.0, 4.0]]), model.weights[0]
uses = {
    "predict": lambda: model.predict(x, verbose=0), "predict one": lambda: model.predict(x[:1], verbose=0),
    "fit": lambda: model.fit(x, y, verbose=0), "evaluate": lambda: model.evaluate(x, y, verbose=0),
    "train_on_batch": lambda: model.train_on_batch(x, y), "call": lambda: model(x), "build": classifier,
    "product": lambda: tensor @ tensor, "sum": lambda: ops.sum(tensor), "slice": lambda: tensor[0],
    "values": weight.numpy, "get_weights": model.get_weights, "assign": lambda: weight.assign(weight),
    "tensor": lambda: Tensor([1.0]), "variable": lambda: Variable([1.0]), "zeros": lambda: ops.zeros(3),
    "save": lambda: model.save("x.safetensors"), "pickle": lambda: pickle.dumps(model), "repr": lambda: repr(tensor),
    "again": lambda: netchu.set_engine(sys.argv[1]), "iterations": lambda: int(model.optimizer.iterations),
}
for name, use in uses.items():
    print(name, forked(use), sep=": ")
def on_numpy():
    netchu.set_engine("numpy")
    return classifier().fit(x, y, verbose=0).history["loss"][0] > 0
print("numpy:", forked(on_numpy))
print("parent:", model.predict(x, verbose=0).shape)
"""


@pytest.mark.parametrize("name", COMPILED)
def test_each_use_in_a_forked_child_says_spawn(name: str) -> None:
    pytest.importorskip(name)
    lines = run_python(PROGRAM + USES, name, NETCHU_ENGINE=name).splitlines()
    said = dict(line.split(": ", 1) for line in lines)
    assert said.pop("parent") == "(60, 3)"
    assert said.pop("numpy") == "answer True"
    assert len(said) == 21
    for use, words in said.items():
        assert words.startswith(f"EngineError The engine '{name}': expected a process that was spawned"), (use, words)
        assert 'multiprocessing.get_context("spawn")' in words


def test_a_fork_before_anything_was_computed_may_use_jax() -> None:
    pytest.importorskip("jax")
    use = "print(forked(lambda: classifier().fit(*clusters(), verbose=0).epoch))"
    assert run_python(PROGRAM + use, NETCHU_ENGINE="jax").strip() == "answer [0]"


def test_jax_that_the_program_itself_uses_stays_behind_too() -> None:
    pytest.importorskip("jax")
    use = 'import jax.numpy as jnp; print(jnp.ones(3).sum()); print(forked(lambda: netchu.set_engine("jax")))'
    assert "expected a process that was spawned" in run_python(PROGRAM + use, NETCHU_ENGINE="numpy")


BESIDE_A_FIT = """
x, y = clusters()
model = classifier()
expected = classifier()
thread = threading.Thread(target=lambda: model.fit(x, y, epochs=10**6, verbose=0), daemon=True)
thread.start()
while model.history is None or not model.history.epoch:
    pass
def work():
    weights = model.get_weights()
    predicted = model.predict(x, verbose=0)
    expected.set_weights(weights)
    assert (predicted == expected.predict(x, verbose=0)).all()
    netchu.set_engine("numpy")
    classifier().fit(x, y, verbose=0)
    return len(model.fit(x, y, epochs=2, verbose=0).epoch)
print([forked(work) for _ in range(10)])
model.interrupt()
thread.join()
"""


def test_numpy_goes_on_in_a_child_of_a_process_that_trains() -> None:
    assert run_python(PROGRAM + BESIDE_A_FIT, NETCHU_ENGINE="numpy").strip() == str(["answer 2"] * 10)


def test_a_run_of_another_thread_is_not_the_childs() -> None:
    use = """
from netchu import engines
def hold(begun):
    with engines.held():
        begun.set()
        threading.Event().wait()
begun = threading.Event()
threading.Thread(target=hold, args=(begun,), daemon=True).start()
begun.wait()
print(forked(lambda: netchu.set_engine("strict").name))
"""
    register = "from helpers import StrictEngine\nfrom netchu import engines\nengines.register(StrictEngine())\n"
    assert run_python(PROGRAM + register + use).strip() == "answer 'strict'"
