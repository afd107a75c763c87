"""The comparison of all methods: scenarios, cells, what is measured in each, and how they are spread over processes."""
