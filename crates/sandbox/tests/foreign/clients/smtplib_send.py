"""Sends one message with Python's smtplib over STARTTLS and XOAUTH2.

Reads one JSON object: host, port, ca (a PEM file), mailbox, token, recipients, message (a file).
"""

import json
import smtplib
import ssl
import sys

ask = json.load(sys.stdin)
with open(ask["message"], "rb") as file:
    message = file.read()
with smtplib.SMTP(ask["host"], ask["port"], timeout=30) as smtp:
    smtp.ehlo()
    smtp.starttls(context=ssl.create_default_context(cafile=ask["ca"]))
    smtp.ehlo()
    assert "XOAUTH2" in smtp.esmtp_features["auth"].split()
    response = f"user={ask['mailbox']}\x01auth=Bearer {ask['token']}\x01\x01"
    smtp.auth("XOAUTH2", lambda challenge=None: response)
    refused = smtp.sendmail(
        ask["mailbox"], ask["recipients"], message, mail_options=["BODY=8BITMIME"]
    )
    assert not refused, refused
print("sent")
