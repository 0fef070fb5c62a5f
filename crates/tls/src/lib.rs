//! The one place where TLS is configured: provider, versions, trust.
