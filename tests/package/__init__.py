"""What people install: the wheel and the sdist, built, checked and used in an environment of their own."""
