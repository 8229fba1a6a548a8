"""What is special about the TensorFlow engine: silence, memory, element types; and it leaves TensorFlow as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, RUN_ATOL, assert_close, assert_same_bits
from netchu import engines, naive, ops, random
from netchu.engines import xp
from netchu.tensor import Tensor, Variable, wrap
from small_nets import python_environment

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def here() -> engines.Engine:
    pytest.importorskip("tensorflow", reason="needs tensorflow: pip install -e '.[judge]'")
    return engines.set_engine("tensorflow")


def error_output(program: str) -> str:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return run.stderr


TRAINS_THREE_MODELS = """
import numpy as np
import netchu
from netchu.layers import Dense, Dropout, Input
netchu.set_engine("tensorflow")
for batch_size in (4, 5, 6):
    model = netchu.Sequential([Input((3,)), Dropout(0.5), Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.ones((13, 3), "float32"), np.zeros(13, "int64"), batch_size=batch_size, verbose=0)
    model.evaluate(np.ones((13, 3), "float32"), np.zeros(13, "int64"), verbose=0)
"""


def test_nothing_is_written_to_the_standard_error() -> None:
    assert error_output(TRAINS_THREE_MODELS) == ""


def test_what_is_written_there_later_is_seen() -> None:
    assert error_output("import netchu, os; netchu.set_engine('tensorflow'); os.write(2, b'seen')") == "seen"


UNCHANGED = """
import tensorflow as tf

def switches():
    threads = tf.config.threading
    return [hasattr(tf.Tensor, "T"), tf.config.functions_run_eagerly(), tf.config.optimizer.get_jit(),
            threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads(),
            tf.config.get_soft_device_placement(), tf.config.experimental.is_op_determinism_enabled()
            if hasattr(tf.config.experimental, "is_op_determinism_enabled") else None]

before = switches()
import netchu
netchu.set_engine("tensorflow")
netchu.utils.set_random_seed(1)
netchu.layers.Dropout(0.5)(netchu.ops.ones((2, 3)), training=True)
assert switches() == before, (before, switches())
tf.random.uniform((1,))  # without a seed of the program's: other numbers in each process
"""


def test_no_switch_of_tensorflows_is_touched() -> None:
    error_output(UNCHANGED)


def test_an_array_keeps_its_values_when_the_callers_memory_changes(here: engines.Engine) -> None:
    memory = np.ones(100_000, dtype="float32")
    array = here.asarray(memory)
    memory[:] = 5
    assert here.to_numpy(array)[0] == 1


def test_the_host_sees_the_values_without_a_copy_and_cannot_write(here: engines.Engine) -> None:
    array = here.asarray(np.ones(4, dtype="float32"))
    assert np.shares_memory(here.to_numpy(array), here.to_numpy(array))
    with pytest.raises(ValueError, match="read-only"):
        here.to_numpy(array)[0] = 5


MIXED: list[tuple[str, Callable[[], Any], str]] = [
    ("whole numbers above a fraction", lambda: ops.greater(np.array([1, 2]), 1.5), "bool"),
    ("whole numbers or a fraction", lambda: ops.where(np.array([True, False]), np.array([1, 2]), 0.5), "float32"),
    ("int32 and int64", lambda: ops.equal(np.int32([1, 2]), np.int64([1, 3])), "bool"),
    ("uint8 and float32", lambda: ops.where(np.array([True]), np.uint8([1]), np.float32([0.5])), "float32"),
    ("float32 and float64", lambda: ops.less(np.float32([1]), np.float64([2])), "bool"),
    ("exp of whole numbers", lambda: ops.exp(np.arange(3)), "float32"),
    ("mean of whole numbers", lambda: ops.mean(np.arange(4)), "float32"),
    ("whole numbers divided", lambda: ops.divide(np.arange(4), 2), "float32"),
    ("float64 stays", lambda: ops.exp(np.zeros(3)), "float64"),
    ("8-bit range", lambda: wrap(xp.arange(3, dtype=xp.uint8)), "uint8"),
]


@pytest.mark.parametrize(("name", "make", "dtype"), MIXED, ids=[name for name, _, _ in MIXED])
def test_functions_take_mixed_types_as_the_numpy_engine_does(name: str, make: Callable[[], Any], dtype: str) -> None:
    there = make()
    engines.set_engine("numpy")
    expected = make()
    assert there.dtype == expected.dtype == dtype
    assert_close(there.numpy(), expected.numpy(), rtol=ENGINE_RTOL)


def test_arrays_of_two_types_in_an_operation_of_ones_own_are_refused_by_tensorflow() -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected to be a int32 tensor but is a float tensor"):
        Tensor([1, 2]).array * Tensor([0.5, 1.5]).array


def test_a_variable_made_while_a_step_is_traced_has_its_value(here: engines.Engine) -> None:
    made: list[Variable] = []

    def step(x: Any) -> Any:
        made.append(Variable([1.0, 2.0]))
        return (wrap(x) * made[0]).array

    assert here.to_numpy(here.trace(step, {})(here.asarray(np.float32(3.0)))).tolist() == [3.0, 6.0]
    assert made[0].numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["random_uniform", "random_normal"])
def test_random_numbers_are_the_same_compiled_and_line_by_line(here: engines.Engine, name: str) -> None:
    draw = getattr(xp, name)
    step = here.asarray(7, "int32")
    compiled = here.trace(lambda s: draw(3, 5, s, (1001,)), {})(step)
    assert_same_bits(here.to_numpy(compiled), here.to_numpy(draw(3, 5, step, (1001,))))


def test_the_naive_loop_learns_as_on_numpy() -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.random((64, 784), dtype="float32") / 4, rng.integers(0, 10, 64)
    losses = {}
    for name in ("numpy", "tensorflow"):
        engines.set_engine(name)
        random.set_seed(0)
        model = naive.digit_model()
        losses[name] = [float(naive.one_training_step(model, images, labels)) for _ in range(5)]
    assert losses["numpy"][-1] < losses["numpy"][0]
    assert_close(losses["tensorflow"], losses["numpy"], rtol=RUN_ATOL)


def test_a_tensor_of_tensorflows_can_become_one_of_ours() -> None:
    import tensorflow as tf

    assert Tensor(tf.constant([1.0, 2.0])).numpy().tolist() == [1.0, 2.0]


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
def test_a_process_without_standard_error_can_use_it() -> None:
    program = "import netchu; print(netchu.current_engine().name)"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program],
        env=python_environment(NETCHU_ENGINE="tensorflow"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "tensorflow\n")
