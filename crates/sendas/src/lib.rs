//! Sends mail through Microsoft 365 as a service principal.
