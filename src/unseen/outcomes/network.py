"""A small fully connected network in NumPy, with Adam: enough for Q, the successor density and the pairwise loss, without JAX or torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32


@dataclass(eq=False)
class Network:
    """Layers of rectified linear units and a linear last layer, in single precision.

    Attributes:
        weights, biases: of each layer.
        moments: Adam's running means of gradients and of their squares, and the number of updates.
    """

    weights: list[Float32[np.ndarray, "_ _"]]
    biases: list[Float32[np.ndarray, "_"]]
    moments: list[np.ndarray] = field(default_factory=list)
    updates: int = 0

    @staticmethod
    def drawn(sizes: tuple[int, ...], seed: int) -> Network:
        """He's initialisation; the last layer a tenth of it, so that outputs start near 0.

        Args:
            sizes: inputs, hidden units of each layer, outputs.
            seed: of the draw.
        """
        rng = np.random.default_rng(seed)
        weights = [rng.normal(0, np.sqrt(2 / i), (i, o)).astype(np.float32) for i, o in itertools.pairwise(sizes)]
        weights[-1] *= np.float32(0.1)
        return Network(weights, [np.zeros(o, np.float32) for o in sizes[1:]])

    def __call__(self, x: Float32[np.ndarray, "n i"]) -> Float32[np.ndarray, "n o"]:
        """Outputs."""
        return self.forward(x)[-1]

    def forward(self, x: Float32[np.ndarray, "n i"]) -> list[np.ndarray]:
        """The inputs and every layer's outputs, as the backward pass needs them."""
        layers: list[np.ndarray] = [x]
        for i, (w, b) in enumerate(zip(self.weights, self.biases)):
            z = layers[-1] @ w + b
            layers.append(np.maximum(z, 0) if i < len(self.weights) - 1 else z)
        return layers

    def gradients(self, layers: list[np.ndarray], output: Float32[np.ndarray, "n o"]) -> list[np.ndarray]:
        """Of sum(output * outputs of the network) with respect to every weight and bias.

        Args:
            layers: of `forward`.
            output: gradient of the loss with respect to the network's outputs.
        """
        found: list[np.ndarray] = []
        for i in reversed(range(len(self.weights))):
            found[:0] = [layers[i].T @ output, output.sum(axis=0)]
            if i > 0:
                output = (output @ self.weights[i].T) * (layers[i] > 0)
        return found

    def update(self, gradients: list[np.ndarray], rate: float, clip: float = 10.0) -> None:
        """One step of Adam against the gradients, whose norm is cut at `clip`."""
        norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)))
        scale = np.float32(min(1.0, clip / max(norm, 1e-12)))
        if not self.moments:
            self.moments = [np.zeros_like(g) for g in gradients for _ in range(2)]
        self.updates += 1
        rate *= np.sqrt(1 - 0.999**self.updates) / (1 - 0.9**self.updates)
        for i, (parameter, g) in enumerate(zip(self.parameters(), gradients)):
            g = g * scale
            first, second = self.moments[2 * i], self.moments[2 * i + 1]
            first += np.float32(0.1) * (g - first)
            second += np.float32(0.001) * (g * g - second)
            parameter -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))

    def parameters(self) -> list[np.ndarray]:
        """Weight and bias of every layer, in the order of `gradients`; they are changed in place."""
        return [p for pair in zip(self.weights, self.biases) for p in pair]

    def copy(self) -> Network:
        """The same network, without what the optimiser remembers."""
        return Network([w.copy() for w in self.weights], [b.copy() for b in self.biases])

    def follow(self, other: Network, share: float) -> None:
        """Move every parameter this share of the way to another network's: a target network."""
        for mine, theirs in zip(self.parameters(), other.parameters()):
            mine += np.float32(share) * (theirs - mine)
