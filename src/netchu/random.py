"""Random numbers without hidden state: each is a pure function of (seed, stream, step).

    netchu.utils.set_random_seed(0)

A program has one seed.  Everything that draws (an initial weight, a Dropout layer, the shuffling of a fit) takes a
stream of its own; streams are numbered in the order in which they are taken, and the step counts the draws within one.
Initial weights and permutations come from NumPy on every engine, so that a model starts alike on all of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np

from netchu import engines
from netchu.arguments import check_whole
from netchu.engines import Array, Shape, xp
from netchu.engines.numpy.functions import generator
from netchu.left_to_keras import missing_names
from netchu.tensor import Variable

__getattr__ = missing_names("random")

_seed = secrets.randbits(32)
_streams_given = 0


def set_seed(seed: int) -> None:
    """Set the program's seed, 0 to 2**32 - 1, and start numbering the streams anew."""
    global _seed, _streams_given
    _seed = _checked_seed("set_random_seed", seed)
    _streams_given = 0


def _checked_seed(where: str, seed: int) -> int:
    check_whole(where, 0, 2**32 - 1, seed=seed)
    return int(seed)


def state() -> tuple[int, int]:
    """The program's seed, and how many streams were given out: all that there is to remember."""
    return _seed, _streams_given


def restore(seed: int, streams_given: int) -> None:
    """Go on from a `state`."""
    global _seed, _streams_given
    _seed = seed
    _streams_given = streams_given


def seed() -> int:
    """The program's seed: what `set_seed` was given, or one drawn when netchu was imported."""
    return _seed


def next_stream(own_seed: int | None = None) -> tuple[int, int]:
    """A (seed, stream) that nothing else in the program draws from; for a seed of the caller's, always (seed, 0)."""
    global _streams_given
    if own_seed is not None:
        return _checked_seed("seed", own_seed), 0
    _streams_given += 1
    return _seed, _streams_given


def numpy_generator(own_seed: int | None = None) -> np.random.Generator:
    """A NumPy generator on a stream of its own."""
    return generator(*next_stream(own_seed), step=0)


def permutation(seed: int, stream: int, epoch: int, n: int) -> np.ndarray:
    """The order in which epoch number `epoch` visits `n` samples, shape (n,)."""
    return generator(seed, stream, epoch).permutation(n)


class Stream:
    """Draws for one layer: the numbers depend on its seed, its stream and its step, which is a Variable.

    Because the step is a Variable, a traced step carries it along, and a checkpoint that holds it holds all there is.

    Args:
        seed: of its own; None takes the program's.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed, self.stream = next_stream(seed)
        self.step = Variable(np.zeros((), dtype="int32"), trainable=False, name="random_step")

    def uniform(self, shape: Shape) -> Array:
        """float32 in [0, 1) of `shape`; each call advances the step by one."""
        return self._draw(xp.random_uniform, shape)

    def normal(self, shape: Shape) -> Array:
        """float32 of `shape`, mean 0, variance 1; each call advances the step by one."""
        return self._draw(xp.random_normal, shape)

    def _draw(self, function: Callable[..., Array], shape: Shape) -> Array:
        drawn = function(self.seed, self.stream, self.step.array, shape)
        self.step.replace(self.step.array + engines.current().asarray(1, "int32"))
        return drawn
