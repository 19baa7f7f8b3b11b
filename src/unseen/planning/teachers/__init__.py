"""Scripted players that write down their plans: what a student is taught with."""
