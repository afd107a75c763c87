"""Controls: what an edit without skill reaches. They stand in every table; no policy should name one."""
