"""What the command line does with files: say what is in one, convert it, and check it against its own physics."""
