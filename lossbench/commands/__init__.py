"""What a user can type: each function is a command. None imports torch before it needs it."""
