"""How fast something goes and how long it will take."""

from runner.tracking.activity import Activity


def test_nothing_is_claimed_before_anything_is_known():
    assert Activity("reading", 10, start=0.0).details() == []


def test_rate_and_time_left_follow_from_what_was_done():
    activity = Activity("epoch 1/2", 1000, start=100.0)
    activity.advance(400, now=102.0)
    assert activity.counted() == "400/1,000"
    assert activity.details() == ["200/s", "3.0 s left"]


def test_what_was_done_before_a_resume_does_not_count_as_speed():
    activity = Activity("epoch 1/2", 1000, start=0.0, done=900)
    activity.advance(910, now=10.0)
    assert activity.rate == 1.0
    assert activity.details() == ["1/s", "1 min 30 s left"]


def test_slow_things_say_how_long_each_takes():
    activity = Activity("epoch 1/2", 3, start=0.0)
    activity.advance(2, now=5.0)
    assert activity.details() == ["2.5 s each", "2.5 s left"]


def test_the_rate_is_that_of_the_last_half_minute():
    activity = Activity("epoch 1/2", None, start=0.0)
    activity.advance(1, now=60.0)  # compiling
    for second in range(1, 61):
        activity.advance(1 + 10 * second, now=60.0 + second)
    assert activity.rate == 10.0
    assert activity.counted() == "601"
    assert activity.details() == ["10/s"]


def test_the_loss_comes_first():
    activity = Activity("epoch 1/2", 4, start=0.0, loss=0.5)
    activity.advance(2, now=1.0)
    assert activity.details() == ["loss 0.5000", "2/s", "1.0 s left"]
