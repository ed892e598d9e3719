"""Many requests at the same moment."""

import threading

from tests.contract.clouds import Cloud, Said

LOST = (
    500,
    (
        "computeFault: Unexpected API Error. Please contact the administrator\n"
        "<class 'nova.exception.UnexpectedTaskStateError'>"
    ),
)
LATE = "conflictingRequest: Cannot 'rescue' instance <uuid> while it is in task_state rescuing"


def test_four_rescues_one_wins(cloud: Cloud, active: str) -> None:
    # Nova compares the task_state only when it saves: against a rescue that took no time at all,
    # a slow second request can win too. (Seen on the lab.)
    cloud.knobs(rescue_seconds=2)
    gate, answers = threading.Barrier(4), list[Said]()
    cloud.as_("carol").auth_token  # noqa: B018

    def ask() -> None:
        gate.wait()
        answers.append(cloud.rescue(active))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    cloud.knobs()
    lost = [one for one in answers if one.status != 200]
    assert len(lost) == 3, answers
    assert {one.short for one in lost} <= {LOST, (409, LATE)}
    assert cloud.settle(active) == "RESCUE rescued -"
    assert next(one["action"] for one in cloud.actions(active)) == "rescue"
