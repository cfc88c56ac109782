"""One module a command: read its arguments, call what does the work, tell the result."""
