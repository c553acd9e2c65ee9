"""`cosmos trust …`: one module a command."""
