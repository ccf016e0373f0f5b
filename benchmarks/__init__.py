"""Measurements: ratios taken side by side in one run, since machines differ and are noisy. They gate nothing."""
