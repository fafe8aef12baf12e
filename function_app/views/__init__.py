"""Read models for people and programs. They decide nothing and write nothing."""
