//! Stands in for Microsoft on loopback: Entra ID and SMTP submission.
