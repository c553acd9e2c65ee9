"""`cosmos key …`: one module a command."""
