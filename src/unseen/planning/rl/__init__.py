"""Reinforcement learning of when to plan: token-level PPO, one sample per step of an environment."""
