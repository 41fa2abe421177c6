"""How an API token looks."""

PREFIX = "rt_"  # so that a token is recognised where it should not be
