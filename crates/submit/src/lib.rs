//! Submits messages to Exchange Online over SMTP with XOAUTH2.
