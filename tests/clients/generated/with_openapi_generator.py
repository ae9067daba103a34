"""The client that openapi-generator makes for Python, against a real daemon."""

import os

import openapi_client as api
import later

client = api.ApiClient(api.Configuration(host=os.environ["RUNABOUT_URL"], access_token=os.environ["RUNABOUT_TOKEN"]))
runs, events = api.RunsApi(client), api.EventsApi(client)

run = runs.submit_run(api.Submit(script="echo one; echo two >&2", name="generated", tags=["a", "b"]))
ended = runs.get_run(run.id, wait_s=30)
assert ended.status.actual_instance == "succeeded", ended
page = events.read_run_events(run.id, after="0")
told = [event.actual_instance for event in page.events]
assert [type(event) for event in told[:2]] == [api.QueuedEvent, api.StartedEvent], told
assert type(told[-1]) is api.FinishedEvent and told[-1].data.name == "generated", told
output = [event.data.actual_instance for event in told if type(event) is api.OutputEvent]
assert {piece.stream.actual_instance: piece.text for piece in output} == {"stdout": "one\n", "stderr": "two\n"}, output
everything = events.read_all_events(after="0", kinds=["started", "finished"], runs=[str(run.id)])
assert [event.actual_instance.kind for event in everything.events] == ["started", "finished"], everything
listed = runs.list_runs(status=["succeeded", "failed"], tag="a")
assert run.id in [one.id for one in listed.runs], listed

# A change says what it was given, and nothing of what it was not.
waiting = runs.submit_run(api.Submit(command=["true"], priority=50, delay_s=3600))
renamed = runs.change_run(waiting.id, api.Change(name="renamed"))
assert (renamed.name, renamed.priority) == ("renamed", 50), renamed
runs.cancel_run(waiting.id)
beside = runs.submit_run(api.Submit(command=["true"]), name="beside", tag=["x", "y"])
assert (beside.name, beside.tags) == ("beside", ["x", "y"]), beside

binary = runs.submit_run(api.Submit(script="printf '\\377\\0x'"))
runs.get_run(binary.id, wait_s=30)
assert bytes(events.read_run_log(binary.id)) == b"\xff\0x"
try:
    runs.get_run(999_999)
except api.ApiException as error:
    assert error.status == 404 and error.data.code.actual_instance == "run_not_found", error
else:
    raise AssertionError("there is no such run")

page = api.EventPage.from_dict(later.PAGE)
kinds = [type(event.actual_instance) for event in page.events]
assert kinds == [api.QueuedEvent, api.OtherEvent, api.OutputEvent, api.FinishedEvent], kinds
assert page.events[3].actual_instance.data.reason.actual_instance == "starved"
assert api.Problem.from_dict(later.PROBLEM).code.actual_instance == "run_expired"
