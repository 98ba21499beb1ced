"""The story that `make demo` plays, from outside: what a vendor, an administrator, a learner and an
LMS would do, and whether every number is what it should be."""
