//! One claimed attempt: process, output, end.
