"""`cosmos`: one module a command, in folders that follow the words one types."""
