"""The whole suite runs strictly: two host devices, no silent dtype or rank promotion. How fast an example is decides nothing."""

import hypothesis
import jax

hypothesis.settings.register_profile("unseen", deadline=None)
hypothesis.settings.load_profile("unseen")

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
