"""When a client sends again."""

import pytest

from edgelatch._flow import backoff


@pytest.mark.parametrize("tries", [4, 1024, 100_000])
def test_the_pause_before_another_try_stays_below_a_second_however_many_failed(tries: int) -> None:
    assert 0.5 <= backoff(tries) <= 1
