"""Forecasts beside classical, deterministic, CRPS-trained and diffusion rows, and the exact answer where known."""
