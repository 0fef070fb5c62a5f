"""Signs a person in with MSAL for Python and headless Chromium, and prints the answer.

Reads one JSON object: authority, client_id, scopes, user, password, code (of the second page),
driver (chromedriver), profile (a folder), device (whether by device code), pages (what to expect,
in order: password, second, consent, confirm).
"""

import json
import sys
import threading

import msal

from chromium import chromium

ask = json.load(sys.stdin)
trouble = []


def fill(page):
    for what in ask["pages"]:
        if what == "password":
            page.type("#loginfmt", ask["user"])
            page.type("#passwd", ask["password"])
            page.click("#idSIButton9")
        elif what == "second":
            page.type("#otc", ask["code"])
            page.click("#idSubmit_SAOTCC_Continue")
        elif what == "consent":
            page.click("#idBtn_Accept")
        elif what == "confirm":
            page.click("#idSIButton9[value=accept]")


def sign_in(page, url, user_code=None):
    try:
        page.open(url)
        if user_code:
            page.type("#otc", user_code)
            page.click("#idSIButton9")
        fill(page)
        if user_code:
            page.find("#end")
        # The icon a browser asks for by itself is not there; anything else is a fault.
        trouble.extend(line for line in page.log() if "favicon" not in line)
    except Exception as error:
        trouble.append(repr(error))


application = msal.PublicClientApplication(
    ask["client_id"], authority=ask["authority"], instance_discovery=False
)
with chromium(ask["driver"], ask["profile"]) as page:
    if ask["device"]:
        flow = application.initiate_device_flow(scopes=ask["scopes"])
        place = flow["verification_uri"]
        sign_in(page, place, flow["user_code"])
        answer = application.acquire_token_by_device_flow(flow)
    else:
        threads = []

        def begin(url):
            threads.append(threading.Thread(target=sign_in, args=(page, url)))
            threads[0].start()

        answer = application.acquire_token_interactive(
            ask["scopes"], auth_uri_callback=begin, timeout=60
        )
        for thread in threads:
            thread.join()
    silent = None
    if "access_token" in answer:
        account = application.get_accounts()[0]
        silent = application.acquire_token_silent(
            ask["scopes"], account=account, force_refresh=True
        )
print(json.dumps({"answer": answer, "silent": silent, "trouble": trouble}))
