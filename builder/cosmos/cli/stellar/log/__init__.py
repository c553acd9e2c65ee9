"""`stellar log …`: one module a command."""
