"""Controls: trivial edits that every table compares the methods with. No policy should name one."""
