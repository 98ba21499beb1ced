//! The vocabulary and the row rules of an import.
