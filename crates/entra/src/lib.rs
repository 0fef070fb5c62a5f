//! Tokens from Microsoft Entra ID for a service principal.
