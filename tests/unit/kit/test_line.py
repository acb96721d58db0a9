# SPDX-License-Identifier: Apache-2.0
import json

from services.kit.logwriter import render
from services.kit.rpc.line import CallLine

LINE = CallLine(1.5, "identity", "tongban.x.v1.X/Y", "OK", "", 0.0123, "service:gateway", 10)


def test_a_calls_line_is_the_same_in_both_ways_of_writing_it() -> None:
    for line in (LINE, LINE._replace(code="NOT_FOUND", reason='SAID "NO"', caller="", trace_id=0)):
        written = json.loads(line.json())
        fields = {**line.fields(), "time": written["time"]}
        assert written == fields
        assert line.json().endswith("}\n")
    assert json.loads(LINE.json())["time"] == "1970-01-01T00:00:01.500000Z"


def test_it_can_be_read_by_a_person_too() -> None:
    text = render([LINE], console=True).decode()
    assert "identity rpc method=tongban.x.v1.X/Y code=OK" in text
