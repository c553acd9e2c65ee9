"""`cosmos`: one module for each command, in folders that follow the words of the command line."""
