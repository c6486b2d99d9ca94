"""Timings that can be compared: interleaved rounds, medians with their spread, one core."""
