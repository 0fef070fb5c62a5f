//! What a smuggler sends for the end of a message (smtp-smuggling, 2023).

/// The forms that some server somewhere takes for the end of a message.
pub(crate) const FORMS: [&[u8]; 32] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\n.\r",
    b"\r.\r",
    b"\r.\n",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\r\n.\r\n",
    b"\r\n\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\n.\x0b\r\n",
    b"\r\n.\x0c\r\n",
    b"\r\n\x08.\r\n",
    b"\r\n. \r\n",
    b"\r\n.\t\r\n",
    b"\r\n .\r\n",
    b"\r\n..\r\n",
    b"\r\n...\r\n",
    b"..\r\n",
    b"\xc2\x85.\xc2\x85",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
    b"\xe2\x80\xa9.\xe2\x80\xa9",
    b"\xc0\x8a.\xc0\x8a",
    b"\r\n\xef\xbc\x8e\r\n",
    b"\x8d\x8a.\x8d\x8a",
    b"\n.\n\n",
    b"\r.\r\r",
    b"\r\n.\n.\r",
];

/// One form that a doubled CR makes into a true end behind junk: the octets before it are refused
/// in strict mode; normalized, `CR CR LF . CR LF` holds a true `CRLF . CRLF`.
pub(crate) const TRUE_END_INSIDE: &[u8] = b"\r\r\n.\r\n";
