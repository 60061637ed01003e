"""What HTTP says of headers that a service does not know, and Schemathesis does not: they are passed over."""

import schemathesis


@schemathesis.hook
def filter_case(context, case):
    return not any(name.lower() == "x-schemathesis-unknown-property" for name in case.headers or {})
