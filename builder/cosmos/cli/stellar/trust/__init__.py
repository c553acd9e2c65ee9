"""`stellar trust …`: one module a command."""
