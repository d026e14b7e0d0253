"""A device that has no credential asks for one, and waits until a person has let it in.

    python3 join.py https://gw.local:8443 ca.crt station.json station-7 > card.json

ca.crt is the gateway's CA (GET /ca.crt, compared by its fingerprint), station.json a Thing Description,
station-7 the id of the Thing. Shows a code of six digits, which the person types; card.json then has
host, port, CA, user, password and topics. Needs nothing but Python 3.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

SECONDS_BETWEEN = float(os.environ.get("EVERY", "2"))

base, ca, description, thing_id = sys.argv[1:]
trust = ssl.create_default_context(cafile=ca)


def call(method, path, body=None, secret=None):
    """The answer's status and body. While the gateway cannot be reached, or wants less of us, it waits."""
    request = urllib.request.Request(base + path, method=method)
    request.add_header("Content-Type", "application/json")
    if secret:
        request.add_header("Authorization", "Bearer " + secret)
    data = None if body is None else json.dumps(body).encode()
    while True:
        try:
            with urllib.request.urlopen(request, data, timeout=30, context=trust) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                return error.code, json.load(error)
            time.sleep(float(error.headers.get("Retry-After") or SECONDS_BETWEEN))
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                sys.exit("not the gateway of ca.crt: %s" % error.reason)
            time.sleep(SECONDS_BETWEEN)


def ask():
    """Asks to be let in, as often as it takes until somebody lets devices in."""
    with open(description) as file:
        thing = dict(json.load(file), id=thing_id)
    while True:
        status, answer = call("POST", "/join", {"name": thing_id, "thing": thing})
        if status == 202:
            return answer
        if answer.get("code") != "joining-closed":
            sys.exit("refused: %s" % answer.get("detail"))
        time.sleep(3 * SECONDS_BETWEEN)  # Twelve a minute are listened to.


def wait_for(asked):
    """The card; or None where it has to ask anew: it was too late, or the gateway was restarted."""
    while True:
        status, answer = call("GET", "/join/" + asked["id"], secret=asked["poll"])
        if status == 404 or answer.get("status") == "expired":
            return None
        if answer.get("status") == "approved":
            return answer["card"]
        if answer.get("status") != "pending":
            sys.exit("a person did not let it in")
        time.sleep(SECONDS_BETWEEN)


card = None
while card is None:
    asked = ask()
    print("code:", asked["code"], file=sys.stderr, flush=True)
    card = wait_for(asked)
json.dump(card, sys.stdout)
