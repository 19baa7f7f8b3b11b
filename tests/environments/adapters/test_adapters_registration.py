import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from unseen.environments import registry
from unseen.environments.adapters import register_all
from unseen.environments.adapters.registration import gymnasium_id


def run(*lines: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", "\n".join(lines)], check=True, timeout=120)


HOOK = "from unseen.environments.adapters import register_on_import; register_on_import()"


@pytest.mark.parametrize("order", [("import gymnasium", HOOK), (HOOK, "import gymnasium"), (HOOK, HOOK, "import gymnasium.spaces")])
def test_ids_appear_whichever_is_imported_first_and_nothing_imports_jax(order):
    run("import sys", *order, "import gymnasium", "assert 'unseen/heavenhell-3' in gymnasium.registry", "assert 'jax' not in sys.modules")


def test_the_hook_alone_does_not_import_gymnasium():
    run("import sys", HOOK, "assert 'gymnasium' not in sys.modules and 'jax' not in sys.modules")


def test_every_registered_name_has_an_id():
    assert register_all() == sorted(gymnasium_id(name) for name in registry.names())
    assert register_all() == register_all()  # a second call neither fails nor warns
    assert set(register_all()) <= set(gymnasium.registry)


def test_made_by_id_single_and_vector():
    register_all()
    single = gymnasium.make("unseen/heavenhell-3", render_mode="rgb_array")
    observation, info = single.reset(seed=5)
    assert observation in single.observation_space
    assert info["signals"]
    assert single.render().dtype == np.uint8
    vector = gymnasium.make_vec("unseen/heavenhell-3", num_envs=2, autoreset_mode="SameStep")
    batch, _ = vector.reset(seed=5)
    assert batch in vector.observation_space
    np.testing.assert_array_equal(np.asarray(batch)[0], observation)
    assert vector.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP


def test_a_family_member_and_a_name_with_a_slash():
    assert register_all(["heavenhell-4"]) == ["unseen/heavenhell-4"]
    assert gymnasium.make("unseen/heavenhell-4").reset(seed=0)
    assert gymnasium_id("memory/change-detection") == "unseen/memory.change-detection"
    assert register_all(["memory/change-detection"]) == ["unseen/memory.change-detection"]
    del gymnasium.registry["unseen/memory.change-detection"]
