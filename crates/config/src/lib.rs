//! File and environment to typed settings.
