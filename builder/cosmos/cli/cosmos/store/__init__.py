"""`cosmos store …`: one module a command."""
