//! SMTP without I/O, both sides.
