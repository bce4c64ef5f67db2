"""The mirror is the one that this machine installs from."""

import pytest
from loadline_cluster import debian


@pytest.mark.parametrize(
    "sources",
    [
        "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
        "# http://old.example/debian\ndeb [signed-by=/usr/share/key.gpg] http://mirror.example/debian bookworm main\n",
    ],
    ids=["fields", "one line"],
)
def test_both_forms_of_sources_are_read_without_their_comments(sources: str) -> None:
    assert debian.mirror_in(sources) == "http://mirror.example/debian"


def test_sources_without_a_mirror_leave_the_choice_to_debootstrap() -> None:
    assert debian.mirror_in("deb cdrom:[Debian]/ bookworm main\n") == ""
