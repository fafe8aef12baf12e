"""What is handed out: the app's package, its bill of materials, the agent as a wheel and as one runnable file."""
