"""The NumPy engine: small, every intermediate value at hand in a debugger.  The default."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netchu.engines.contract import DTYPES, STANDARD_FUNCTIONS, Array, Box, Engine, axis_by_axis
from netchu.engines.numpy.functions import EXTRAS, where
from netchu.engines.numpy.memory import Home
from netchu.engines.numpy.program import Program, Renewal
from netchu.engines.numpy.recording import Recording, Traced, recorded
from netchu.engines.tracing import carrying, no_value_yet
from netchu.system import environment


class NumpyEngine(Engine):
    """Arrays are `numpy.ndarray`.  `trace` records the step at its first run, and makes a program of it.

    Operations compute at once, each line by itself; a step that `trace` was given runs as a program of the same NumPy
    calls with the same bits, in memory that is taken once (see `netchu.engines.numpy.program`).
    """

    name = "numpy"
    runs_line_by_line = True

    def __init__(self) -> None:
        self.functions = {name: getattr(np, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: recorded(f) for f in EXTRAS}
        self.functions |= {"sum": axis_by_axis(np.sum, np.squeeze), "where": where}
        threads = environment.whole_number("NETCHU_THREADS")
        if threads is not None:
            self.fix_threads(threads or None)
        # Programs share the homes of Variables, so they run one at a time, also those of different models.  It costs
        # little: a product uses all processors anyway.
        self._lock = threading.RLock()
        self._homes: dict[int, Home] = {}  # by the id of a Variable, as long as that lives
        if hasattr(os, "register_at_fork"):  # a child must not find a step half done, nor wait for who was making it
            lock = self._lock
            os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)

    def owns(self, value: object) -> bool:
        """See `Engine.owns`; NumPy's arrays are the host's."""
        return isinstance(value, Traced)

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`."""
        if isinstance(value, Traced):
            return value if dtype in (None, value.dtype) else value.astype(dtype)
        return np.asarray(value, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        if self.is_traced(array):
            raise no_value_yet("NumPy", array.shape)
        view: np.ndarray = np.asarray(array).view()
        view.flags.writeable = False  # a weight or a recorded value may lie under it
        return view

    def narrow(self, array: Array, values: tuple[Array, ...]) -> Array:
        """NumPy makes float64 of `integers * 0.5` or `exp(integers)`; Keras and the other engines make float32."""
        if array.dtype != np.float64 or any(getattr(value, "dtype", None) == np.float64 for value in values):
            return array
        return array.astype(np.float32)

    def is_traced(self, array: Array) -> bool:
        """True while a step is recorded."""
        return isinstance(array, Traced)

    def trace(self, step: Callable[..., Any], variables: Mapping[str, Box]) -> Callable[..., Any]:
        """See `Engine.trace`: each set of shapes is recorded at its first run, and run as a program from then on."""
        programs: dict[Any, Callable[..., Any]] = {}
        # Each Variable once: a layer that stands in two places gives it two names.
        variables = dict({id(variable): (name, variable) for name, variable in variables.items()}.values())

        def run(*arrays: Any) -> Any:
            form = tuple([None if array is None else (array.shape, array.dtype) for array in arrays])
            with self._lock:
                if form not in programs:
                    programs[form], result = self._record(step, variables, arrays)
                    return result
                return programs[form](arrays)

        return run

    def _record(
        self, step: Callable[..., Any], variables: Mapping[str, Box], arrays: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], Any]:
        """Run a step once; what runs it again, and its result."""
        recording = Recording()
        before = {name: recording.take(np.asarray(variable.array, order="C")) for name, variable in variables.items()}
        with carrying(variables, before) as seen:
            given = [None if array is None else recording.take(array) for array in arrays]
            result = step(*given)
        renewals = []
        for name, variable in variables.items():
            after = seen[id(variable)]
            if after is not before[name]:  # another thread may have assigned to the others meanwhile
                variable.array = _array_of(after)
            home = self._home_of(variable)
            renewals.append(Renewal(variable, home, before[name].value, _value_of(after)))
        several = isinstance(result, tuple)
        results = result if several else (result,)
        there = [i for i, array in enumerate(arrays) if array is not None]
        program = Program(
            recording.calls,
            [one.value for one in given if one is not None],
            renewals,
            [_value_of(one) for one in results],
        )

        def run(arrays: tuple[Any, ...]) -> Any:
            outputs = program.run([arrays[i] for i in there])
            return outputs if several else outputs[0]

        computed = tuple(_array_of(one) for one in results)
        return run, computed if several else computed[0]

    def _home_of(self, variable: Box) -> Home:
        """Where the Variable's value lies while programs change it; all programs share it."""
        if id(variable) not in self._homes:
            self._homes[id(variable)] = Home(variable.array)
            weakref.finalize(variable, self._homes.pop, id(variable), None)
        return self._homes[id(variable)]

    def snapshot(self, array: Array, into: Array | None = None) -> Array:
        """A copy: a step writes into the arrays of its Variables, and makes new ones for those that somebody holds."""
        if into is None:
            return np.array(array)
        np.copyto(into, array)
        return into

    def threads(self) -> int:
        """BLAS threads, or 1 when NumPy's BLAS does not tell."""
        from threadpoolctl import threadpool_info

        return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)

    def fix_threads(self, count: int | None = None) -> None:
        """See `Engine.fix_threads`."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(count or self.threads(), user_api="blas")

    def suited_threads(self) -> int:
        """All threads, or one on a busy machine.

        A product waits for the last of its threads.  Where another program holds a processor, that is 4 to 30 ms each
        time in place of 0.4: thirty products took 127 ms with two threads and 46 with one (2 processors, 2 programs
        that did nothing but count).  So a dozen are timed, which takes 15 ms.
        """
        from threadpoolctl import threadpool_limits

        x, w = np.ones((128, 784), dtype=np.float32), np.ones((784, 512), dtype=np.float32)
        seconds = {}
        for count in (self.threads(), 1):
            with threadpool_limits(count, user_api="blas"):
                began = time.perf_counter()
                for _ in range(12):
                    np.matmul(x, w)
                seconds[count] = time.perf_counter() - began
        return 1 if max(seconds.values()) > 2 * seconds[1] else max(seconds)

    def version(self) -> str:
        """NumPy's version."""
        return np.__version__


def _array_of(result: Any) -> Any:
    return result.array if isinstance(result, Traced) else result


def _value_of(result: Any) -> Any:
    return result.value if isinstance(result, Traced) else result
