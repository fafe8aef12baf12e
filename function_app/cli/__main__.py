"""`python -m function_app.cli`."""

from function_app.cli import main

main()
