"""Fitting the constants of `models/wf-prior`: mixtures, features through the package's own kernels, losses, the fit."""
