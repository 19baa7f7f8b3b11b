"""What the specification derives for the four screen tasks, by task and scale."""

# Marks of the memoryless player by scale, specification §3.1 to §3.4, to the digit that they are given with.
MARKS = {
    "arbitrary-visuomotor-mapping": {"train": 14.7, "interpolate": 12.1, "extrapolate": 21.1},
    "continuous-recognition": {"train": 25.5, "interpolate": 20.5, "extrapolate": 38.0},
    "change-detection": {"train": 5.0, "interpolate": 5.0, "extrapolate": 5.0},
    "what-then-where": {"train": 2.5, "interpolate": 2.5, "extrapolate": 2.5},
}
CEILINGS = {
    "arbitrary-visuomotor-mapping": {"train": 50, "interpolate": 40, "extrapolate": 75},
    "continuous-recognition": {"train": 50, "interpolate": 40, "extrapolate": 75},
    "change-detection": {"train": 10, "interpolate": 10, "extrapolate": 10},
    "what-then-where": {"train": 10, "interpolate": 10, "extrapolate": 10},
}
