"""The command line: the only floor that prints, exits, and reads argv, the environment and the clock."""
