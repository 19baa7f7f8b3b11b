"""Adapters: gymnax environments in, ours out as Gymnasium ones, and any Gymnasium environment as an external one."""

from unseen._lazy import lazy

_HOMES = {
    "from_gymnax": "unseen.environments.adapters.gymnax",
    "to_gymnasium": "unseen.environments.adapters.single",
    "to_gymnasium_vector": "unseen.environments.adapters.vector",
    "register_all": "unseen.environments.adapters.registration",
    "register_on_import": "unseen.environments.adapters.registration",
    "external": "unseen.environments.adapters.host",
    "ExternalEnvironment": "unseen.environments.adapters.host_contract",
    "ExternalStep": "unseen.environments.adapters.host_contract",
    "EnvironmentCrash": "unseen.environments.adapters.host_contract",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOMES)
