"""Code that several methods use: losses, windows, descent, gradients, solvers, fitting."""
