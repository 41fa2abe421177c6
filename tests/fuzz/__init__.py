"""Everything that reads what a stranger sent, or a crash left, is fed with anything.

targets.py    what is read, and what has to hold for every input
mutate.py     inputs for the sample in `make test`: known good ones, damaged in ways that hurt parsers
__main__.py   the long run, led by coverage (Atheris): `make fuzz`
"""
