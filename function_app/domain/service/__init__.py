"""Who is fit, who should serve, and what may be done next to a service."""
