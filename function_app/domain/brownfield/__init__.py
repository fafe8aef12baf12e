"""What is there already, and the first topology that says so."""
