"""`python -m rolltape` is `rolltape`."""

from rolltape.cli import main

main()
