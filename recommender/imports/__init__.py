"""Adapter folders as they really come, made into a base folder and an adapter folder that `lethe init` takes."""
