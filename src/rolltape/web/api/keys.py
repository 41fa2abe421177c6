"""SSH keys in the API: their public halves."""

from pydantic import BaseModel, ConfigDict

from rolltape.web.params import With


class KeyFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


class KeyAnswer(BaseModel):
    """`public` is the line for the server's authorized_keys; null where it is not known."""

    name: str
    public: str | None


class Keys(BaseModel):
    items: list[KeyAnswer]


async def listing(services: With) -> Keys:
    """The private keys that destinations can name, each with its public half."""
    return Keys(items=[KeyAnswer(name=key.name, public=key.public) for key in await services.keys.all()])


async def create(services: With, fields: KeyFields) -> KeyAnswer:
    """Make a key. Its public half belongs into the server's authorized_keys."""
    made = await services.keys.create(fields.name)
    return KeyAnswer(name=made.name, public=made.public)
