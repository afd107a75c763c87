"""The comparison of all methods: scenarios, cells, the measures of each cell, and the processes that share the work."""
