"""Submits one message with Python's smtplib to a relay.

Reads one JSON object: host, port, tls (none, starttls, implicit), ca (a PEM file), auth (PLAIN,
LOGIN or null), user, password, mailbox, recipients, message (a file).
"""

import json
import smtplib
import ssl
import sys

ask = json.load(sys.stdin)
with open(ask["message"], "rb") as file:
    message = file.read()
if ask["tls"] == "implicit":
    context = ssl.create_default_context(cafile=ask["ca"])
    smtp = smtplib.SMTP_SSL(ask["host"], ask["port"], timeout=30, context=context)
else:
    smtp = smtplib.SMTP(ask["host"], ask["port"], timeout=30)
with smtp:
    if ask["tls"] == "starttls":
        smtp.starttls(context=ssl.create_default_context(cafile=ask["ca"]))
    smtp.ehlo()
    if ask["auth"]:
        assert ask["auth"] in smtp.esmtp_features["auth"].split()
        smtp.user, smtp.password = ask["user"], ask["password"]
        method = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login}[ask["auth"]]
        smtp.auth(ask["auth"], method)
    refused = smtp.sendmail(
        ask["mailbox"], ask["recipients"], message, mail_options=["BODY=8BITMIME"]
    )
    assert not refused, refused
print("sent")
