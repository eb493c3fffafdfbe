"""One answer for many pages, and how often somebody may try to sign in."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bulkpoint.errors import RefusedError, UnreachableError
from bulkpoint.web.shared import Shared
from bulkpoint.web.throttle import OF_ADDRESS, OF_BOTH, OF_NAME, Throttle
from tests.world.waiting import wait_for


class Question:
    """Counts how often it is asked; it is answered when the test says so."""

    def __init__(self, answer: Callable[[], int]) -> None:
        self.asked = 0
        self.goes_on = threading.Event()
        self._answer = answer

    def __call__(self) -> int:
        self.asked += 1
        self.goes_on.wait(20)
        return self._answer()


def refuse() -> int:
    raise RefusedError("PAGE_UNKNOWN")


def unreachable() -> int:
    raise UnreachableError("SESSION_BUSY")


def test_fifty_pages_that_ask_at_once_are_one_question() -> None:
    shared, question = Shared(), Question(lambda: 7)
    with ThreadPoolExecutor(50) as pages:
        answers = [pages.submit(shared.get, "live", 1.0, question) for _ in range(50)]
        wait_for(lambda: question.asked, "the first question")
        question.goes_on.set()
        assert [answer.result() for answer in answers] == [7] * 50
    assert question.asked == 1


def test_where_the_database_is_away_all_who_wait_learn_it_from_one_question() -> None:
    shared, question = Shared(), Question(unreachable)
    with ThreadPoolExecutor(10) as pages:
        answers = [pages.submit(shared.get, "live", 1.0, question) for _ in range(10)]
        wait_for(lambda: question.asked and pages._work_queue.empty(), "all pages")
        question.goes_on.set()
        assert {type(answer.exception()) for answer in answers} == {UnreachableError}
    assert question.asked < 10


def test_what_one_login_is_refused_no_other_page_is_told() -> None:
    shared, question = Shared(), Question(refuse)
    with ThreadPoolExecutor(2) as pages:
        first = pages.submit(shared.get, "live", 60.0, question)
        wait_for(lambda: question.asked, "the question")
        second = pages.submit(shared.get, "live", 60.0, lambda: 7)
        wait_for(second.running, "the other page")
        question.goes_on.set()
        assert (type(first.exception()), second.result()) == (RefusedError, 7)


def test_an_answer_that_is_too_old_is_asked_for_anew() -> None:
    shared = Shared()
    assert [shared.get("live", 60.0, lambda: 1), shared.get("live", 60.0, lambda: 2)] == [1, 1]
    assert shared.get("live", -1.0, lambda: 3) == 3


def test_after_an_act_nothing_is_shown_that_was_asked_before_it() -> None:
    shared, question = Shared(), Question(lambda: 1)
    with ThreadPoolExecutor(1) as pages:
        before = pages.submit(shared.get, "live", 60.0, question)
        wait_for(lambda: question.asked, "the question")
        shared.forget()
        question.goes_on.set()
        assert before.result() == 1
    assert shared.get("live", 60.0, lambda: 2) == 2


def test_only_so_many_answers_are_kept_and_the_latest_ones() -> None:
    shared = Shared(kept_max=2)
    for key in ("a", "b", "c"):
        shared.get(key, 60.0, lambda: 1)
    assert [shared.get(key, 60.0, lambda: 2) for key in ("c", "b", "a")] == [1, 1, 2]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_five_mistakes_a_person_waits_and_then_may_try_once_more() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock)
    assert [throttle.take("kim", "192.0.2.1") for _ in range(OF_BOTH.tries)] == [0] * OF_BOTH.tries
    assert throttle.take("kim", "192.0.2.1") == OF_BOTH.again_s
    clock.now += OF_BOTH.again_s
    assert [throttle.take("kim", "192.0.2.1"), throttle.take("kim", "192.0.2.1") > 0] == [0, True]


def test_the_right_password_forgets_the_mistakes_before_it() -> None:
    throttle = Throttle(clock=Clock())
    for _ in range(OF_BOTH.tries):
        throttle.take("kim", "192.0.2.1")
    throttle.give_back("kim", "192.0.2.1")
    assert [throttle.take("kim", "192.0.2.1") for _ in range(OF_BOTH.tries)] == [0] * OF_BOTH.tries


def test_one_name_tried_from_many_places_and_many_names_from_one_place_are_throttled_too() -> None:
    throttle = Throttle(clock=Clock())
    assert sum(throttle.take("kim", f"192.0.2.{number}") == 0 for number in range(100)) == OF_NAME.tries
    assert sum(throttle.take(f"name{number}", "198.51.100.1") == 0 for number in range(100)) == OF_ADDRESS.tries


def test_a_whole_network_of_ipv6_is_one_place() -> None:
    throttle = Throttle(clock=Clock())
    tried = [throttle.take(f"name{number}", f"2001:db8::{number:x}") == 0 for number in range(100)]
    assert sum(tried) == OF_ADDRESS.tries


def test_people_with_ipv4_are_no_one_network_where_the_page_listens_for_both_families() -> None:
    throttle = Throttle(clock=Clock())
    for number in range(OF_ADDRESS.tries):
        assert throttle.take(f"name-{number}", "::ffff:192.0.2.1") == 0
    assert throttle.take("kim", "::ffff:192.0.2.1") > 0
    assert throttle.take("kim", "::ffff:198.51.100.7") == 0, "others may still sign in"


def test_the_throttle_remembers_only_so_many() -> None:
    throttle = Throttle(clock=Clock(), kept_max=30)
    for number in range(100):
        throttle.take(f"name{number}", f"192.0.2.{number}")
    assert len(throttle._left) == 30
