//! How a repeated request is recognized.
