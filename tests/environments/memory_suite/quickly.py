"""`jit` for programs that tests run a few times: compiled in a third of the time, and as fast where little is computed."""

from functools import partial

import jax

jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
