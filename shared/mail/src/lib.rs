//! A notification becomes subject, text and HTML in the learner's language.
