"""Scripted reference players of the memory suite: `cast.players(environment)` names them, `measure.play` lets them play."""
