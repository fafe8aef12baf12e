"""The two kinds of pass: `fast` and `slow`, each over every service of a topology (`service`)."""
